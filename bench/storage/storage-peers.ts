// S2: the whole cycle of a job beside the two job queues of npm on PostgreSQL that people use, on the same server, in
// turns. Each peer runs in both orders, and ours is held against the better one. BullMQ runs beside them on a Redis that
// keeps what it says it has, where the machine has one.

import { temporaryFolder } from '../../test/support/cleanup.ts';
import { startRedis } from '../../test/support/redis-server.ts';
import { BenchProcess } from '../bench-process.ts';
import { atLeast, type Figure, figure, ratioOf } from '../harness/figures.ts';
import { inTurns, type Measure } from '../harness/in-turns.ts';
import { createDatabase } from './bare-postgres.ts';
import type { PeerAnswer, PeerOrder, PeerReady, PeerStart } from './peer-contract.ts';
import { cycleRate } from './storage-flows.ts';
import { closeBench, type StorageGround } from './storage-ground.ts';

interface PeerKind {
  name: string;
  module: string;
  /** Where it keeps its jobs; undefined: the machine has no such server. */
  connect(ground: StorageGround): Promise<string | undefined>;
  /** Of the design, where it holds one. */
  row?: string;
}

const peers: readonly PeerKind[] = [
  { name: 'graphile-worker', module: './storage/graphile-peer', connect: databaseFor('graphile'), row: 'S2' },
  { name: 'pg-boss', module: './storage/pg-boss-peer', connect: databaseFor('pg_boss'), row: 'S2' },
  { name: 'BullMQ', module: './storage/bullmq-peer', connect: durableRedis },
];
const timesMin = 5;
const orders: readonly PeerOrder['order'][] = ['together', 'first'];

export async function measureCycle(ground: StorageGround): Promise<void> {
  const { options, result, say } = ground;
  const bench = await ground.startBench();
  const frames = bench.frames(options.submissionRows, options.eventBytes);
  const ours = 'S2 store, hand-off, done';
  const measures: Measure[] = [{ name: ours, run: () => cycleRate(bench, frames, options) }];
  const started: BenchProcess[] = [];
  const compared: PeerKind[] = [];
  for (const peer of peers) {
    const connectionString = await peer.connect(ground);
    if (connectionString === undefined) {
      ground.peers.push(`${peer.name}: not run, its server is not installed here`);
      continue;
    }
    const process = new BenchProcess(ground.cleanup, peer.module);
    const start: PeerStart = { connectionString, eventBytes: options.eventBytes };
    const { description } = await process.ask<PeerReady>(start);
    compared.push(peer);
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
  for (const { name, row } of compared) {
    const figures = orders.map((order) => {
      const title = nameOf(name, order);
      return figure(title, 'jobs/s', 'higher', rates.get(title) ?? [], 'peer');
    });
    result.figures.push(...figures);
    const ratio = ratioOf(product, better(name, figures));
    result.ratios.push(ratio);
    if (row === undefined) continue;
    result.goals.push(atLeast(row, `jobs/s against ${name}, the better of its orders`, timesMin, ratio.rounds, '×'));
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

function databaseFor(database: string): PeerKind['connect'] {
  return async ({ address }) => {
    const own = await createDatabase(address, database);
    if ('url' in own) throw new Error('expected the benchmark to run on a server of its own');
    const host = encodeURIComponent(own.socketDir);
    return `postgres://${own.user}@/${own.database}?host=${host}&port=${own.port}`;
  };
}

/** With the durability everybody else here has: on disk before it answers. */
async function durableRedis({ cleanup }: StorageGround): Promise<string | undefined> {
  const folder = await temporaryFolder(cleanup);
  const redis = await startRedis(cleanup, ['--dir', folder, '--appendonly', 'yes', '--appendfsync', 'always']);
  return redis?.url;
}
