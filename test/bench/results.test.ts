// What is done with results: telling a change from noise, the report page, the results page, tuning and profiles.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { settingsSchema } from '../../actors/config.ts';
import { chanceOf, compareRecords, comparisonText, verdictOf } from '../../bench/harness/compare.ts';
import { atLeast, figure, ratioOf } from '../../bench/harness/figures.ts';
import { htmlReport } from '../../bench/harness/html-report.ts';
import { namedLatency } from '../../bench/harness/merge.ts';
import { summarizeProfile } from '../../bench/harness/profile.ts';
import { resultsPage } from '../../bench/harness/results-page.ts';
import type { BenchRecord } from '../../bench/harness/scenario.ts';
import { ticksUpTo } from '../../bench/harness/svg-plot.ts';
import { chooseValue, parseGoal, tunedFile } from '../../bench/harness/tune.ts';
import { LatencyHistogram } from '../../bench/latency-histogram.ts';
import { loadConfig } from '../../runtime/index.ts';
import { recordWith } from '../support/bench-record.ts';

const rate = (rounds: readonly number[]) => figure('rate', 'jobs/s', 'higher', rounds);

test('the chance of two samples is the exact one', () => {
  assert.equal(chanceOf([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]), 2 / 252);
  assert.equal(chanceOf([1, 2, 3], [4, 5, 6]), 2 / 20);
  assert.equal(chanceOf([1, 2], [1, 2]), 1, 'the same twice is no difference');
  const sample = fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 9 });
  fc.assert(
    fc.property(sample, sample, (one, other) => {
      const chance = chanceOf(one, other);
      assert.ok(chance > 0 && chance <= 1);
      assert.equal(chance, chanceOf(other, one), 'it does not matter which came first');
    }),
  );
});

test('a change counts only beyond noise', () => {
  const before = [100, 103, 98, 101, 99];
  assert.equal(verdictOf(before, [120, 118, 121, 125, 119], 'higher'), 'better');
  assert.equal(verdictOf(before, [120, 118, 121, 125, 119], 'lower'), 'worse');
  assert.equal(verdictOf(before, [120, 118, 121, 125, 119], 'neither'), 'changed');
  assert.equal(verdictOf(before, [120, 97, 121, 99, 119], 'higher'), 'no change', 'the rounds overlap');
  assert.equal(verdictOf([100, 100.1, 100.2, 100.3, 100], [101, 101.1, 101.2, 101.3, 101], 'higher'), 'no change');
  assert.equal(verdictOf([1, 2, 3, 4], [5, 6, 7, 8], 'higher'), 'too few rounds');
  assert.equal(verdictOf([0], [0], 'lower'), 'no change', 'the same exact value needs no rounds');
});

test('comparing names what else was different and a machine that changed', () => {
  const record = (ours: number[], raw: number[], more: Partial<BenchRecord>): BenchRecord => {
    const limit = figure('bare', 'jobs/s', 'higher', raw, 'raw limit');
    return recordWith([rate(ours), limit], { ratios: [ratioOf(rate(ours), limit)], ...more });
  };
  const before = record([90, 91, 92, 93, 94], [100, 101, 102, 103, 104], {});
  const slower = record([45, 45.5, 46, 46.5, 47], [50, 50.5, 51, 51.5, 52], {
    settings: { node: 'v20', cores: 4, loadAverage: 3 },
    checks: [{ name: 'ledger', faults: ['lost one'] }],
  });
  const [comparison] = compareRecords([before], [slower]);
  assert.ok(comparison !== undefined);
  const verdicts = comparison.changes.map(({ kind, verdict }) => [kind, verdict]);
  assert.deepEqual(verdicts, [
    ['ratio', 'no change'],
    ['product', 'worse'],
    ['raw limit', 'worse'],
  ]);
  assert.deepEqual(comparison.differences, ['cores: 2 before, 4 after']);
  const text = comparisonText(comparison);
  assert.match(text, /the machine changed: bare moved by -50\.0 %; look at the ratios/);
  assert.match(text, /FAILED ledger: lost one/);
  assert.throws(
    () => compareRecords([before], [recordWith([], { scenario: 'other' })]),
    /results of the same scenario/,
  );
});

test('the report is one page with plots and nothing from outside', () => {
  const histogram = new LatencyHistogram();
  for (const micros of [500, 1500, 40_000]) histogram.record(micros);
  const record = recordWith([rate([1000, 2000])], {
    goals: [atLeast('S1', 'share <of> raw', 0.85, [0.9])],
    latencies: [namedLatency('accept', histogram)],
    series: [
      {
        plot: 'over time',
        name: 'sluice',
        xUnit: 's',
        yUnit: 'jobs/s',
        points: [
          [0, 10],
          [1, 20],
        ],
      },
    ],
    cpu: [{ name: 'batches', shares: { PostgreSQL: 300, 'sluice thread main': 200 } }],
  });
  const swept = ['1', '10', '100'].map((value) => ({ ...record, scenario: 'swept', varied: { jobs: value } }));
  const page = htmlReport([record, ...swept]);
  assert.equal(
    page.match(/<svg /g)?.length,
    4 * 4 + 1,
    'rates, series, latencies and CPU of each, and the curve of the sweep',
  );
  assert.match(page, /share &lt;of&gt; raw/);
  assert.match(page, /class="met">met/);
  assert.match(page, /jobs\/s over jobs/);
  assert.doesNotMatch(page, /<script|<link|src=|url\(|NaN|Infinity|undefined/);
});

test('axes end in round numbers', () => {
  assert.deepEqual(ticksUpTo(87), [0, 20, 40, 60, 80, 100]);
  assert.deepEqual(ticksUpTo(0), [0, 1]);
  fc.assert(
    fc.property(fc.double({ min: 1e-6, max: 1e9, noNaN: true }), (most) => {
      const ticks = ticksUpTo(most);
      assert.ok(ticks.length >= 2 && ticks.length <= 9, `${ticks.length} ticks for ${most}`);
      assert.ok((ticks.at(-1) ?? 0) >= most * (1 - 1e-9));
    }),
  );
});

test('the results page has every goal and every setting', () => {
  const goals = [atLeast('S1', 'share', 0.85, [0.7, 0.8]), atLeast('S2', 'times', 5, [6])];
  const page = resultsPage([recordWith([rate([10, 12])], { goals, notMeasured: [{ row: 'R2', why: 'none yet' }] })]);
  assert.match(
    page,
    /\| S1 \| share \| >= 0\.85 \| 0\.75 \| 0\.7 \.\. 0\.8 \| \*\*not met\*\* \| example \| 2026-01-01 \|/,
  );
  assert.match(page, /\| S2 \|.*\| met \|/);
  assert.match(page, /\| R2 \| none yet \|.*not measured/);
  assert.match(page, /\| G1 \| durable single.*\| not measured \|/, 'a row that nobody measured');
  assert.ok(page.indexOf('| G1 |') < page.indexOf('| S1 |') && page.indexOf('| S2 |') < page.indexOf('| E4 |'));
  assert.match(page, /Measured 2026-01-01T00:00:00\.000Z\. node v20; cores 2\./);
  assert.match(page, /\| rate \| product \| 11 \| 10 \.\. 12 \| jobs\/s \|/);
});

test('tuning keeps the first value unless another is better beyond noise', () => {
  const withP99 = (rounds: number[], p99Ms: number): BenchRecord => {
    const histogram = new LatencyHistogram();
    histogram.record(p99Ms * 1000);
    return recordWith([rate(rounds)], { latencies: [namedLatency('accept', histogram)] });
  };
  const slow = withP99([100, 101, 102, 103, 104], 5);
  const noisy = withP99([99, 120, 98, 121, 97], 5);
  const fast = withP99([200, 201, 202, 203, 204], 50);
  const values = ['1000', '5000', '9000'];
  const key = 'storage.groupRowsMax';
  assert.equal(chooseValue(parseGoal('throughput'), key, values, [slow, noisy, fast]).winner, '9000');
  const bounded = chooseValue(parseGoal('p99<20'), key, values, [slow, noisy, fast]);
  assert.deepEqual([bounded.winner, bounded.evidence[2]?.kept], ['1000', false]);
  assert.match(chooseValue(parseGoal('p99<1'), key, values, [slow, noisy, fast]).reason, /no value keeps the bound/);
  assert.throws(() => parseGoal('fast'), /expected --goal throughput or --goal p99<MS, got fast/);

  const file = tunedFile('Found today', [bounded]);
  assert.match(
    file,
    /^# Found today\n# storage\.groupRowsMax = 1000: .*\n# {3}1000: 102\/s \(100 \.\. 104\), p99 5.* ms\n/,
  );
  const config = loadConfig(settingsSchema, { environment: {}, flags: [], file: { path: 'tuned.yaml', text: file } });
  assert.equal(config.ok && config.settings.storage.groupRowsMax, 1000, 'the program takes the file');
});

test('a profile is summed up by stage, without idle time', () => {
  const frame = (id: number, functionName: string, url: string) => ({ id, callFrame: { functionName, url } });
  const nodes = [
    frame(1, '(idle)', ''),
    frame(2, 'process', 'file:///app/dist/actors/processor/pipeline.js'),
    frame(3, '(garbage collector)', ''),
    frame(4, 'pack', 'file:///app/node_modules/msgpackr/pack.js'),
  ];
  const profile = { nodes, samples: [1, 2, 2, 3, 4], timeDeltas: [9000, 2000, 4000, 1000, 1000] };
  const { thread, rows } = summarizeProfile('1-2.cpuprofile', profile, 1000);
  assert.equal(thread, '1-2 (mostly actors/processor, 8.0 µs per event)');
  assert.deepEqual(rows, [
    { where: 'actors/processor', ms: 6, share: 0.75 },
    { where: 'garbage collection', ms: 1, share: 0.125 },
    { where: 'msgpackr', ms: 1, share: 0.125 },
  ]);
});
