// Proves that a failing export reaches the log once a minute, readable, and with the count of what was left out.

import assert from 'node:assert';
import test from 'node:test';
import type { Clock } from '../../runtime/seams.ts';
import { createDiagnostics, DIAGNOSTIC_INTERVAL_MS } from '../../runtime/telemetry-diagnostics.ts';

test('writes one line an interval and counts the others', () => {
  const { clock, diagnostics, lines } = setup();
  for (let count = 0; count < 5; count += 1) diagnostics.error('first');
  clock.now += DIAGNOSTIC_INTERVAL_MS - 1;
  diagnostics.warn('still quiet');
  clock.now += 1;
  diagnostics.warn('second');
  clock.now += DIAGNOSTIC_INTERVAL_MS;
  diagnostics.error('third');
  assert.deepEqual(lines, [
    { detail: 'first', suppressed: 0 },
    { detail: 'second', suppressed: 5 },
    { detail: 'third', suppressed: 0 },
  ]);
});

test('says nothing of lower levels', () => {
  const { diagnostics, lines } = setup();
  diagnostics.info('a');
  diagnostics.debug('b');
  diagnostics.verbose('c');
  assert.deepEqual(lines, []);
});

test('makes one readable line of whatever the SDK hands over', () => {
  const cases: [unknown[], string][] = [
    [[JSON.stringify({ stack: 'at…', code: 'ECONNREFUSED', message: '' })], 'ECONNREFUSED'],
    [[JSON.stringify({ code: 'E1', message: 'refused', name: 'Error' })], 'E1: refused'],
    [['{"unknown":1}'], '{"unknown":1}'],
    [['{broken'], '{broken'],
    [['failed', new Error('why')], 'failed why'],
    [['x'.repeat(1_000)], 'x'.repeat(300)],
  ];
  for (const [[message, ...details], expected] of cases) {
    const { diagnostics, lines } = setup();
    diagnostics.error(String(message), ...details);
    assert.equal(lines[0]?.detail, expected);
  }
});

function setup() {
  const lines: Record<string, unknown>[] = [];
  const clock = { now: 0 };
  const seam: Clock = {
    nowMs: () => clock.now,
    monotonicMs: () => clock.now,
    setTimer: () => assert.fail('the diagnostics need no timer'),
  };
  return { clock, lines, diagnostics: createDiagnostics({ warn: (fields) => lines.push(fields) }, seam) };
}
