// The same modest load for a long time (row G4): does memory stay flat, does waiting stay what it was, and do the tables
// stay as small as what is pending? A leak shows after minutes, not in rounds of seconds.

import { openCluster } from '../test/support/embedded-cluster.ts';
import { arrivalCheck, orderCheck, waitUntilDrained } from './bench-program.ts';
import { atMost, figure, median } from './harness/figures.ts';
import { namedLatency } from './harness/merge.ts';
import { count, seconds } from './harness/options.ts';
import { defineScenario, type Measurement, type Run, type Series } from './harness/scenario.ts';
import { LatencyHistogram } from './latency-histogram.ts';
import type { LoadResult } from './load-generator.ts';
import { residentMiB } from './program-memory.ts';
import { ProgramSite } from './program-site.ts';
import type { SinkReport } from './sink.ts';

const writeKey = 'wk-soak';
const residentMiBMax = 600;
/** Of the last third against the first, after the warm-up. */
const timesMax = 1.1;
/** In less, a heap that grows to its working size looks like a leak. */
const flatSecondsMin = 600;
const mebibyte = 1024 * 1024;

const options = {
  seconds: seconds(1800, 'how long'),
  warmUpSeconds: { ...seconds(60), min: 0, doc: 'load before it counts' },
  sampleSeconds: seconds(10, 'pause between two looks'),
  ratePerSecond: count(1000, 'events per second'),
  connections: count(64, 'keep-alive connections', 1024),
};

interface Sample {
  atSeconds: number;
  residentMiB: number;
  databaseMiB: number;
  deliveryP99Ms: number;
}

export const soak = defineScenario({
  name: 'soak',
  question: 'the same load for a long time: memory, waiting and tables stay as they were',
  rawLimit: '',
  peers: [],
  goalRows: ['G4'],
  options,
  quick: { seconds: 20, warmUpSeconds: 5, sampleSeconds: 2 },
  async measure(run): Promise<Measurement> {
    const site = await ProgramSite.start(run, (url) => [
      { id: 'src-soak', writeKey, destinations: [{ id: 'dst-soak', url: `${url}/` }] },
    ]);
    const { seconds: length, warmUpSeconds, ratePerSecond, connections } = run.options;
    const load = site.load({ writeKeys: [writeKey], seconds: length, warmUpSeconds, ratePerSecond, connections });
    const reports: SinkReport[] = [];
    const samples = await sampled(run, site, load, reports);
    const answer = await load;
    await waitUntilDrained(site.program);
    reports.push(await site.report());
    const arrived = reports.reduce((sum, { events }) => sum + events, 0);
    const delivery = new LatencyHistogram();
    for (const { latencyCounts } of reports) delivery.add(latencyCounts);
    return {
      settings: site.durability,
      ...summedUp(samples, length, answer),
      latencies: [
        namedLatency('accept', new LatencyHistogram(answer.latencyCounts)),
        namedLatency('delivery, warm-up included', delivery),
      ],
      checks: [await site.ledger(), orderCheck(reports), arrivalCheck(answer.eventsTotal, arrived)],
      events: answer.eventsTotal,
    };
  },
});

/** Looks until the load is over. */
async function sampled(
  { options: chosen, cleanup, say }: Pick<Run<typeof options>, 'options' | 'cleanup' | 'say'>,
  site: ProgramSite,
  load: Promise<LoadResult>,
  reports: SinkReport[],
): Promise<Sample[]> {
  const samples: Sample[] = [];
  const postgres = openCluster(cleanup, site.program.dataDir);
  const over = load.then(() => true);
  const beganAt = performance.now();
  for (;;) {
    const pause = new Promise<false>((resolve) => setTimeout(() => resolve(false), chosen.sampleSeconds * 1000));
    if (await Promise.race([over, pause])) return samples;
    const report = await site.report();
    reports.push(report);
    const { rows } = await postgres.query<{ bytes: string }>(
      'select pg_database_size(current_database())::text as bytes',
    );
    const atSeconds = (performance.now() - beganAt) / 1000 - chosen.warmUpSeconds;
    if (atSeconds < 0) continue;
    const sample = {
      atSeconds,
      residentMiB: residentMiB(site.program.pid) ?? 0,
      databaseMiB: Math.round(Number(rows[0]?.bytes) / mebibyte),
      deliveryP99Ms: new LatencyHistogram(report.latencyCounts).percentileMs(0.99),
    };
    samples.push(sample);
    if (samples.length % 6 === 1) say(`${Math.round(atSeconds)} of ${chosen.seconds} s: ${JSON.stringify(sample)}`);
  }
}

function summedUp(samples: readonly Sample[], length: number, answer: LoadResult) {
  const third = Math.max(1, Math.floor(samples.length / 3));
  const growth = (value: (sample: Sample) => number): number =>
    median(samples.slice(-third).map(value)) / (median(samples.slice(0, third).map(value)) || Number.POSITIVE_INFINITY);
  const resident = samples.map((sample) => sample.residentMiB);
  const [memoryGrowth, sizeGrowth, waitGrowth] = [
    growth((sample) => sample.residentMiB),
    growth(({ databaseMiB }) => databaseMiB),
    growth(({ deliveryP99Ms }) => deliveryP99Ms),
  ];
  const isLong = length >= flatSecondsMin;
  return {
    figures: [
      figure('accepted', 'events/s', 'higher', [(answer.events / answer.elapsedMs) * 1000]),
      figure('resident memory without PostgreSQL', 'MiB', 'lower', resident),
      figure('resident memory, last third against the first', '×', 'lower', [memoryGrowth]),
      figure('size of the database, last third against the first', '×', 'lower', [sizeGrowth]),
      figure('delivery p99, last third against the first', '×', 'lower', [waitGrowth]),
    ],
    series: [
      seriesOf(samples, 'resident memory', 'MiB', (sample) => sample.residentMiB),
      seriesOf(samples, 'size of the database', 'MiB', ({ databaseMiB }) => databaseMiB),
      seriesOf(samples, 'delivery p99', 'ms', ({ deliveryP99Ms }) => deliveryP99Ms),
    ],
    goals: isLong
      ? [
          atMost('G4', `resident memory over ${length} s, last third against the first`, timesMax, [memoryGrowth], '×'),
          atMost('G4', `resident memory over ${length} s, without PostgreSQL`, residentMiBMax, resident, 'MiB'),
        ]
      : [],
    notMeasured: isLong ? [] : [{ row: 'G4', why: `flat memory takes ${flatSecondsMin} s at least` }],
  };
}

function seriesOf(samples: readonly Sample[], plot: string, yUnit: string, value: (sample: Sample) => number): Series {
  const points = samples.map((sample) => [sample.atSeconds, value(sample)] as const);
  return { plot: `soak: ${plot}`, name: 'sluice', xUnit: 's', yUnit, points };
}
