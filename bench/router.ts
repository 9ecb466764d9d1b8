// What the router delivers, one HTTP request per event to a fast local sink, against a bare undici pool with as many
// connections to the same sink (row R1). Jobs are stored as the processor stores them; the sink is a process of its own.

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

export const router = defineScenario({
  name: 'router',
  question: 'deliveries, one request per event, beside a bare undici pool',
  rawLimit: 'undici pool with as many connections to the same sink',
  peers: [],
  goalRows: ['R1'],
  options: {
    rounds: rounds(),
    jobs: count(50_000, 'deliveries of one measurement'),
    eventBytes: count(1024, 'size of a delivery’s body', 100_000),
  },
  quick: { rounds: 3, jobs: 10_000 },
  async measure(run): Promise<Measurement> {
    const { cleanup, options, say } = run;
    const ground = await openGround(run, { ...storageDefaults, ...options, partitions: 1 });
    const sink = new BenchProcess(cleanup, './sink');
    const { port } = await sink.next<{ port: number }>();
    const origin = `http://127.0.0.1:${port}`;
    const destinations = [{ id: 'd0', url: `${origin}/` }];
    const workspace = snapshotOf([{ id: 's0', writeKey: 'w0', destinations }]);
    const flags = ['--egress.allow=127.0.0.0/8'];
    const { router: settings, storage } = ground.settingsWith(flags);
    const bench = await ground.startBench({ flags, stages: { real: ['router'], workspace } });
    const target = { partition: 'd0', sourceId: 's0', destinationId: 'd0' };
    const frameOptions = { lanes: storage.lanes, eventBytes: options.eventBytes, endpoint: `${origin}/` };
    const frames = stageFrames('rt', [target], frameOptions);
    const jobs = Math.ceil(options.jobs / rowsPerFrame) * rowsPerFrame;
    const raw = new BenchProcess(cleanup, './raw-router');
    const connections = settings.requestsInFlightMax;
    const [ours, bare] = ['R1 deliveries, one request each', `bare undici pool, ${connections} connections`];
    const rates = await inTurns(
      [
        {
          name: bare,
          run: async () => {
            const order: RawDelivery = { origin, jobs, connections, eventBytes: options.eventBytes };
            return (jobs / (await raw.ask<RawDelivered>(order)).elapsedMs) * 1000;
          },
        },
        { name: ours, run: () => stageRate(bench, 'rt', frames, jobs) },
      ],
      { rounds: options.rounds, warmUpRounds: 1, onRound: (round, name) => say(`round ${round}: ${name}`) },
    );
    const product = figure(ours, 'requests/s', 'higher', rates.get(ours) ?? []);
    const limit = figure(bare, 'requests/s', 'higher', rates.get(bare) ?? [], 'raw limit');
    const ratio = ratioOf(product, limit);
    const { requests } = await sink.ask<SinkReport>('report');
    const expected = 2 * jobs * (options.rounds + 1);
    const faults = requests === expected ? [] : [`expected ${expected} requests at the sink, it got ${requests}`];
    const checks = [...(await bench.checks()), { name: 'every delivery arrived once', faults }];
    return {
      settings: { fsync: 'on', synchronousCommit: 'on', connections },
      figures: [product, limit],
      ratios: [ratio],
      goals: [atLeast('R1', 'deliveries: share of a bare undici pool', shareMin, ratio.rounds)],
      notMeasured: [{ row: 'R2', why: 'there is no batch destination yet' }],
      checks,
    };
  },
});
