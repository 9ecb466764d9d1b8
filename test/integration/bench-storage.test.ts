// One tiny run of a whole scenario: PostgreSQL, storage thread, raw limit and checks, in seconds. That it measures
// something is all that is asked; how fast it was is not.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { runScenario } from '../../bench/harness/run-scenario.ts';
import { storage } from '../../bench/storage.ts';

test('a benchmark run tells figures, ratios and goals, and ends with the ledger check', async () => {
  const given = { parts: 'copy,wal', rounds: '2', jobs: '300', 'group-rows': '100', 'submission-rows': '50' };
  const record = await runScenario(storage, { given, productFlags: ['--processor.slots=50'], profile: false });
  const rounds = (name: RegExp): readonly number[] => record.figures.find((one) => name.test(one.name))?.rounds ?? [];
  for (const name of [/^S1 COPY/, /^bare COPY/, /^S4 WAL/]) {
    assert.equal(rounds(name).length, 2, String(name));
    assert.ok(rounds(name).every((value) => value > 0));
  }
  assert.equal(record.ratios?.[0]?.rounds.length, 2);
  assert.deepEqual(new Set(record.goals.map(({ row }) => row)), new Set(['S1', 'S4']));
  assert.equal(record.settings.fsync, 'on');
  assert.equal(record.settings.productSettings, '--processor.slots=50');
  assert.equal(record.checks.length, 4);
  assert.deepEqual(
    record.checks.flatMap(({ faults }) => faults),
    [],
  );
});
