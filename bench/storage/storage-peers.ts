// S2: the whole cycle of a job beside the two job queues of npm on PostgreSQL that people use, on the same server, in
// turns. Each peer runs in both orders, and ours is held against the better one.

import { BenchProcess } from '../bench-process.ts';
import { atLeast, type Figure, figure, ratioOf } from '../harness/figures.ts';
import { inTurns, type Measure } from '../harness/in-turns.ts';
import { createDatabase } from './bare-postgres.ts';
import type { PeerAnswer, PeerOrder, PeerReady, PeerStart } from './peer-contract.ts';
import { cycleRate } from './storage-flows.ts';
import { closeBench, type StorageGround } from './storage-ground.ts';

const peers = [
  { name: 'graphile-worker', module: './storage/graphile-peer', database: 'graphile' },
  { name: 'pg-boss', module: './storage/pg-boss-peer', database: 'pg_boss' },
] as const;
const timesMin = 5;
const orders: readonly PeerOrder['order'][] = ['together', 'first'];

export async function measureCycle(ground: StorageGround): Promise<void> {
  const { options, result, say } = ground;
  const bench = await ground.startBench();
  const frames = bench.frames(options.submissionRows, options.eventBytes);
  const ours = 'S2 store, hand-off, done';
  const measures: Measure[] = [{ name: ours, run: () => cycleRate(bench, frames, options) }];
  const started: BenchProcess[] = [];
  for (const peer of peers) {
    const { process, description } = await startPeer(ground, peer);
    started.push(process);
    ground.peers.push(description);
    measures.push(
      ...orders.map((order) => ({
        name: nameOf(peer.name, order),
        run: async () => {
          const answer = await process.ask<PeerAnswer>({ jobs: options.jobs, order } satisfies PeerOrder);
          return (options.jobs / answer.elapsedMs) * 1000;
        },
      })),
    );
  }
  const onRound = (round: number, name: string): void => say(`round ${round}: ${name}`);
  const rates = await inTurns(measures, { rounds: options.rounds, warmUpRounds: 1, onRound });
  for (const process of started) await process.stop();
  const product = figure(ours, 'jobs/s', 'higher', rates.get(ours) ?? []);
  result.figures.push(product);
  for (const { name } of peers) {
    const figures = orders.map((order) => {
      const title = nameOf(name, order);
      return figure(title, 'jobs/s', 'higher', rates.get(title) ?? [], 'peer');
    });
    result.figures.push(...figures);
    const ratio = ratioOf(product, better(name, figures));
    result.ratios.push(ratio);
    result.goals.push(atLeast('S2', `jobs/s against ${name}, the better of its orders`, timesMin, ratio.rounds, '×'));
  }
  await closeBench(ground, bench, 'S2');
}

function nameOf(peer: string, order: PeerOrder['order']): string {
  return `${peer}, ${order === 'together' ? 'added while worked on' : 'added first'}`;
}

/** Round by round the better one. */
function better(name: string, figures: readonly Figure[]): Figure {
  const rounds = figures[0]?.rounds.map((_, index) => Math.max(...figures.map((one) => one.rounds[index] ?? 0)));
  return figure(name, 'jobs/s', 'higher', rounds ?? [], 'peer');
}

async function startPeer(
  { cleanup, address, options }: StorageGround,
  { module, database }: { module: string; database: string },
): Promise<{ process: BenchProcess; description: string }> {
  const own = await createDatabase(address, database);
  if ('url' in own) throw new Error('expected the benchmark to run on a server of its own');
  const host = encodeURIComponent(own.socketDir);
  const connectionString = `postgres://${own.user}@/${own.database}?host=${host}&port=${own.port}`;
  const process = new BenchProcess(cleanup, module);
  const start: PeerStart = { connectionString, eventBytes: options.eventBytes };
  return { process, ...(await process.ask<PeerReady>(start)) };
}
