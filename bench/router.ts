// What the router delivers to a fast local sink, one HTTP request per event (row R1) and in batches (row R2), against a
// bare undici pool with as many connections that posts the same bodies to the same sink. Jobs are stored as the processor
// stores them; the sink is a process of its own.

import { BenchProcess } from './bench-process.ts';
import { atLeast, figure, ratioOf } from './harness/figures.ts';
import { inTurns } from './harness/in-turns.ts';
import { count, rounds } from './harness/options.ts';
import { defineScenario, type Measurement } from './harness/scenario.ts';
import type { RawDelivered, RawDelivery } from './raw-router.ts';
import type { SinkReport } from './sink.ts';
import { rowsPerFrame, snapshotOf, stageFrames, stageRate } from './storage/stage-ground.ts';
import { openGround, storageDefaults } from './storage/storage-ground.ts';

const shareMin = 0.7;
const single = 'single';
const batched = 'batched';

export const router = defineScenario({
  name: 'router',
  question: 'deliveries, one request per event and in batches, beside a bare undici pool',
  rawLimit: 'undici pool with as many connections to the same sink',
  peers: [],
  goalRows: ['R1', 'R2'],
  options: {
    rounds: rounds(),
    jobs: count(50_000, 'deliveries of one measurement'),
    batch: count(100, 'events of one request of row R2', 1000),
    eventBytes: count(1024, 'size of a delivery’s body', 100_000),
  },
  quick: { rounds: 3, jobs: 10_000 },
  async measure(run): Promise<Measurement> {
    const { cleanup, options, say } = run;
    const ground = await openGround(run, { ...storageDefaults, ...options, partitions: 1 });
    const sink = new BenchProcess(cleanup, './sink');
    const { port } = await sink.next<{ port: number }>();
    const origin = `http://127.0.0.1:${port}`;
    const batch = { maxEvents: options.batch, maxBytes: 32 * 1024 * 1024 };
    const destinations = [
      { id: single, url: `${origin}/` },
      { id: batched, url: `${origin}/`, config: { batch } },
    ];
    const workspace = snapshotOf([{ id: 's0', writeKey: 'w0', destinations }]);
    const flags = ['--egress.allow=127.0.0.0/8'];
    const { router: settings, storage } = ground.settingsWith(flags);
    const bench = await ground.startBench({ flags, stages: { real: ['router'], workspace } });
    const jobs = Math.ceil(options.jobs / rowsPerFrame) * rowsPerFrame;
    const connections = settings.requestsInFlightMax;
    const ours = (id: string) => {
      const target = { partition: id, sourceId: 's0', destinationId: id };
      const { eventBytes } = options;
      const frames = stageFrames('rt', [target], { lanes: storage.lanes, eventBytes, endpoint: `${origin}/` });
      return () => stageRate(bench, 'rt', frames, jobs);
    };
    const raw = new BenchProcess(cleanup, './raw-router');
    const bare = (size: number) => async () => {
      const order: RawDelivery = { origin, jobs, connections, eventBytes: options.eventBytes, batch: size };
      return (jobs / (await raw.ask<RawDelivered>(order)).elapsedMs) * 1000;
    };
    const names = {
      single: 'R1 deliveries, one request each',
      bareSingle: `bare undici pool, ${connections} connections`,
      batched: `R2 deliveries, ${options.batch} to a request`,
      bareBatched: `bare undici pool, ${options.batch} to a request`,
    };
    const rates = await inTurns(
      [
        { name: names.bareSingle, run: bare(1) },
        { name: names.single, run: ours(single) },
        { name: names.bareBatched, run: bare(options.batch) },
        { name: names.batched, run: ours(batched) },
      ],
      { rounds: options.rounds, warmUpRounds: 1, onRound: (round, name) => say(`round ${round}: ${name}`) },
    );
    const figureOf = (name: string, role?: 'raw limit') =>
      figure(name, 'events/s', 'higher', rates.get(name) ?? [], role);
    const figures = {
      single: figureOf(names.single),
      bareSingle: figureOf(names.bareSingle, 'raw limit'),
      batched: figureOf(names.batched),
      bareBatched: figureOf(names.bareBatched, 'raw limit'),
    };
    const [r1, r2] = [ratioOf(figures.single, figures.bareSingle), ratioOf(figures.batched, figures.bareBatched)];
    const arrived = await sink.ask<SinkReport>('report');
    return {
      settings: { fsync: 'on', synchronousCommit: 'on', connections },
      figures: Object.values(figures),
      ratios: [r1, r2],
      goals: [
        atLeast('R1', 'deliveries: share of a bare undici pool', shareMin, r1.rounds),
        atLeast('R2', 'deliveries in batches: the same', shareMin, r2.rounds),
      ],
      checks: [
        ...(await bench.checks()),
        { name: 'every delivery arrived once', faults: faultsOf(arrived, jobs, options) },
      ],
    };
  },
});

/** All was sent in every round and once to warm up, both ways; the bare pool fills its last request. */
function faultsOf(
  { requests, batched: inBatches }: SinkReport,
  jobs: number,
  { rounds: measured, batch: size }: { rounds: number; batch: number },
): string[] {
  const faults = [];
  const events = (jobs + Math.ceil(jobs / size) * size) * (measured + 1);
  if (inBatches !== events) faults.push(`expected ${events} events in batches at the sink, it got ${inBatches}`);
  // The other requests are the batches, of which nobody promises how many there are.
  const singles = 2 * jobs * (measured + 1);
  if (requests <= singles) faults.push(`expected more than ${singles} requests at the sink, it got ${requests}`);
  return faults;
}
