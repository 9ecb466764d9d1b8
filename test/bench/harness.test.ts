// The pure half of the benchmark harness: how it is called, how figures become medians, ratios and goals, and what a
// histogram keeps of a latency.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseCommandLine, parseSweep } from '../../bench/harness/command-line.ts';
import { atLeast, atMost, figure, median, ratioOf } from '../../bench/harness/figures.ts';
import { inTurns } from '../../bench/harness/in-turns.ts';
import { mergeRecords, namedLatency } from '../../bench/harness/merge.ts';
import { count, counts, givenOf, names, readOptions, seconds } from '../../bench/harness/options.ts';
import { chosenScenarios } from '../../bench/harness/run-all.ts';
import { combinations } from '../../bench/harness/run-scenario.ts';
import { listText, recordText } from '../../bench/harness/terminal-table.ts';
import { LatencyHistogram } from '../../bench/latency-histogram.ts';
import { scenarios } from '../../bench/scenarios.ts';
import { recordWith } from '../support/bench-record.ts';

const specs = {
  jobs: count(10, 'jobs', 100),
  sizes: counts([1, 2], 'sizes', 9),
  warmUpSeconds: seconds(1.5),
  parts: names(['a', 'b'], 'parts'),
};

test('options have their defaults and are read by their declaration', () => {
  assert.deepEqual(readOptions('s', specs, {}), { jobs: 10, sizes: [1, 2], warmUpSeconds: 1.5, parts: ['a', 'b'] });
  const given = { jobs: '7', sizes: '3,4', 'warm-up-seconds': '0.5', parts: 'b' };
  assert.deepEqual(readOptions('s', specs, given), { jobs: 7, sizes: [3, 4], warmUpSeconds: 0.5, parts: ['b'] });
});

test('a bad option is answered by its name, what was expected and what came', () => {
  const cases: [Record<string, string>, RegExp][] = [
    [{ jbos: '1' }, /scenario s has no option --jbos; it has --jobs, --sizes, --warm-up-seconds, --parts/],
    [{ jobs: 'many' }, /expected --jobs to be integer from 1 to 100, got many/],
    [{ jobs: '1.5' }, /expected --jobs .* got 1\.5/],
    [{ jobs: '101' }, /expected --jobs .* got 101/],
    [{ jobs: '' }, /expected --jobs .* got nothing/],
    [{ sizes: '1,x' }, /expected --sizes to be list, each an integer from 1 to 9, got x/],
    [{ parts: 'a,c' }, /expected --parts to be some of a,b, got c/],
  ];
  for (const [given, message] of cases) assert.throws(() => readOptions('s', specs, given), message);
});

test('the command line knows its commands and refuses the rest', () => {
  assert.deepEqual(parseCommandLine(['list']), { command: 'list' });
  assert.deepEqual(parseCommandLine(['compare', 'a.json', 'b.json']), {
    command: 'compare',
    before: 'a.json',
    after: 'b.json',
  });
  const run = ['storage', '--rounds=3', '--json', 'out.json', '--set', 'storage.groupRowsMax=9', '--sweep', 'jobs=1,2'];
  assert.deepEqual(parseCommandLine(run), {
    command: 'run',
    scenario: 'storage',
    given: { rounds: '3' },
    productFlags: ['--storage.groupRowsMax=9'],
    sweeps: [{ key: 'jobs', values: ['1', '2'] }],
    profile: false,
    quick: false,
    json: 'out.json',
  });
  assert.deepEqual(parseCommandLine(['all', '--quick', '--out=results', '--only', 'ingest,router']), {
    command: 'all',
    quick: true,
    out: 'results',
    only: ['ingest', 'router'],
    settings: [],
  });
  assert.throws(() => parseCommandLine(['all', '--quick']), /expected all --out FOLDER/);
  assert.throws(() => parseCommandLine(['all', '--quick=yes', '--out=x']), /expected --quick without a value/);
  assert.throws(() => parseCommandLine(['all', '--out=x', '--rounds=1']), /all has no option --rounds; it has --quick/);
  assert.throws(() => parseCommandLine(['compare', 'a', 'b', '--html=x']), /compare has no option --html; it has none/);
  assert.throws(() => chosenScenarios(scenarios, ['ingets']), /expected --only to be some of .*ingest.*, got ingets/);
  assert.throws(() => parseCommandLine(['compare', 'a.json']), /expected compare BEFORE\.json AFTER\.json/);
  assert.throws(() => parseCommandLine(['storage', '--rounds']), /expected a value after --rounds/);
  assert.throws(() => parseCommandLine(['storage', '--json', '--rounds']), /expected a value after --json/);
  assert.throws(() => parseCommandLine(['storage', 'ingest']), /expected one scenario/);
  assert.throws(() => parseCommandLine(['storage', '--set', 'nonsense']), /expected --set section\.setting=value/);
});

test('a sweep is a list or a growing range', () => {
  assert.deepEqual(parseSweep('jobs=1,5,9'), { key: 'jobs', values: ['1', '5', '9'] });
  assert.deepEqual(parseSweep('connections=16..1024*4'), { key: 'connections', values: ['16', '64', '256', '1024'] });
  for (const bad of ['jobs', '=1', 'jobs=1,,2', 'jobs=1,1', 'jobs=4..1*2', 'jobs=1..4*1']) {
    assert.throws(() => parseSweep(bad), /expected --sweep/, bad);
  }
  assert.deepEqual(combinations([parseSweep('a=1,2'), parseSweep('b.c=3,4')]), [
    { a: '1', 'b.c': '3' },
    { a: '1', 'b.c': '4' },
    { a: '2', 'b.c': '3' },
    { a: '2', 'b.c': '4' },
  ]);
});

test('a ratio is that of the rounds, so that a slow round spoils neither', () => {
  const ours = figure('ours', '/s', 'higher', [90, 45, 88]);
  const raw = figure('raw', '/s', 'higher', [100, 50, 100], 'raw limit');
  assert.deepEqual(ratioOf(ours, raw).rounds, [0.9, 0.9, 0.88]);
});

test('goals are held against the median and tell the spread', () => {
  const goal = atLeast('S1', 'share', 0.85, [0.8, 0.9, 0.86]);
  assert.deepEqual([goal.measured, goal.spread, goal.met], [0.86, [0.8, 0.9], true]);
  assert.equal(atLeast('S1', 'share', 0.87, [0.8, 0.9, 0.86]).met, false);
  assert.equal(atMost('R5', 'p95', 25, [26], 'ms').met, false);
  assert.equal(atMost('R5', 'p95', 25, [], 'ms').met, false, 'nothing measured meets nothing');
  assert.equal(median([4, 1, 3, 2]), 2.5);
});

test('everything is measured in every round, every second one backwards', async () => {
  const order: string[] = [];
  const measure = (name: string) => ({ name, run: () => order.push(name) });
  const values = await inTurns([measure('a'), measure('b')], { rounds: 2, warmUpRounds: 1 });
  assert.deepEqual(order, ['a', 'b', 'b', 'a', 'a', 'b']);
  assert.deepEqual(values.get('a'), [4, 5], 'the warm-up does not count');
});

test('a histogram tells every percentile to 3 percent', () => {
  const latencies = fc.array(fc.integer({ min: 0, max: 100_000_000 }), { minLength: 1, maxLength: 500 });
  fc.assert(
    fc.property(latencies, fc.constantFrom(0.5, 0.99, 0.999, 1), (micros, share) => {
      const histogram = new LatencyHistogram();
      for (const one of micros) histogram.record(one);
      const exact = [...micros].sort((a, b) => a - b)[Math.ceil(share * micros.length) - 1] ?? 0;
      const told = histogram.percentileMs(share) * 1000;
      assert.ok(told >= exact && told <= exact * 1.032 + 1, `expected about ${exact}, got ${told}`);
    }),
  );
});

test('the rounds and latencies of several runs come together', () => {
  const latencyOf = (micros: number) => {
    const histogram = new LatencyHistogram();
    histogram.record(micros);
    return [namedLatency('accept', histogram)];
  };
  const one = recordWith([figure('rate', '/s', 'higher', [1])], { latencies: latencyOf(1000) });
  const other = recordWith([figure('rate', '/s', 'higher', [2])], {
    latencies: latencyOf(9000),
    checks: [{ name: 'ledger', faults: ['lost one'] }],
  });
  const merged = mergeRecords([one, other]);
  assert.deepEqual(merged.figures[0]?.rounds, [1, 2]);
  assert.equal(merged.latencies?.[0]?.summary.count, 2);
  assert.deepEqual(merged.checks, [{ name: 'ledger', faults: ['lost one'] }]);
});

test('the terminal shows figures, goals and faults', () => {
  const record = recordWith([figure('rate', 'jobs/s', 'higher', [1000, 3000, 2000])], {
    goals: [atLeast('S1', 'share of the raw limit', 0.85, [0.7])],
    checks: [{ name: 'ledger', faults: ['gw: 3 are pending, the queue says 2'] }],
  });
  const text = recordText(record);
  assert.match(text, /rate\s+product\s+2,000\s+jobs\/s\s+1,000 \.\. 3,000\s+3/);
  assert.match(text, /S1\s+share of the raw limit\s+>= 0\.85\s+0\.7\s.*NOT MET/);
  assert.match(text, /ledger: FAILED\n {2}gw: 3 are pending/);
});

test('every scenario has a name of its own, a question and readable defaults', () => {
  assert.equal(new Set(scenarios.map(({ name }) => name)).size, scenarios.length);
  for (const { name, question, options, quick } of scenarios) {
    assert.notEqual(question, '', name);
    assert.deepEqual(readOptions(name, options, givenOf(quick)), { ...readOptions(name, options, {}), ...quick }, name);
    const defaults = Object.fromEntries(
      Object.entries(options).map(([option, spec]) => [
        option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
        String(spec.default),
      ]),
    );
    assert.deepEqual(readOptions(name, options, defaults), readOptions(name, options, {}), name);
  }
  assert.match(listText(scenarios), /ingest: .*\n(.*\n)*? {4}--rounds=5/);
});
