// What the doctor makes of what it measures, and how it says so.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { judgeCommits } from '../../actors/doctor/commit-latency.ts';
import { failed, passed, warned } from '../../actors/doctor/contract.ts';
import { checkNode } from '../../actors/doctor/machine-checks.ts';
import { hasFailed, reportJson, reportText } from '../../actors/doctor/report.ts';

test('a flush that costs nothing is called a lie, a real one is not', () => {
  const lie = judgeCommits({ roundTripMs: 0.1, flushMs: 0.004 }, 'on');
  assert.equal(lie.verdict, 'warn');
  assert.match(lie.found, /the disk lies/);
  assert.equal(judgeCommits({ roundTripMs: 0.1, flushMs: 0.2 }, 'on').verdict, 'pass');
  assert.equal(judgeCommits({ roundTripMs: 30, flushMs: 0 }, 'on').verdict, 'pass', 'too far away to be judged');
  assert.equal(judgeCommits({ roundTripMs: 0.1, flushMs: 45 }, 'on').verdict, 'warn');
  assert.equal(judgeCommits({ roundTripMs: 0.1, flushMs: 2 }, 'off').verdict, 'fail');
});

test('the oldest Node that works is known', () => {
  const verdicts = ['v18.20.0', 'v20.18.1', 'v20.19.0', 'v22.1.0'].map((version) => checkNode(version).verdict);
  assert.deepEqual(verdicts, ['fail', 'fail', 'pass', 'pass']);
});

test('the report names every check, its fix below it, and only failures make it fail', () => {
  const findings = [
    passed('Node', 'v20'),
    warned('clock', '3 s apart', 'Use NTP.'),
    failed('rights', 'none', 'GRANT.'),
  ];
  assert.equal(
    reportText('1.0.0', findings),
    `
Sluice 1.0.0: what a start needs

  ok    Node    v20
  warn  clock   3 s apart
                Use NTP.
  FAIL  rights  none
                GRANT.

1 of 3 checks failed. Mend what is marked FAIL, then look again.

`,
  );
  assert.match(reportText('1.0.0', findings.slice(0, 2)), /Sluice can start; 1 of 2 checks could be better\./);
  assert.equal(hasFailed(findings.slice(0, 2)), false);
  assert.deepEqual(JSON.parse(reportJson('1.0.0', findings)), { version: '1.0.0', ok: false, findings });
});
