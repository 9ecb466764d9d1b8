// S5: what a transaction that stays open for minutes (a report, a forgotten session) does to the throughput. Nothing may
// be updated or deleted on the hot tables, so there is nothing that vacuum could be kept from removing.

import { atLeast, atMost, figure, ratioOf } from '../harness/figures.ts';
import type { RowFrame, StorageBench } from './storage-bench.ts';
import { cycleRate } from './storage-flows.ts';
import { closeBench, type StorageGround } from './storage-ground.ts';

const shareMin = 0.95;
/** The oldest part of the snapshot's life is the one that would hurt. */
const oldestShare = 1 / 3;
const hotTables = '^((gw|rt|batch_rt)_(l[0-9]+_)?(jobs|status)|sluice_ledger(_l[0-9]+)?)_[0-9]+$';

export async function measureSnapshot(ground: StorageGround): Promise<void> {
  const { options, result, say } = ground;
  const bench = await ground.startBench();
  const frames = bench.frames(options.submissionRows, options.eventBytes);
  await cycleRate(bench, frames, options);
  const [quiet, held]: [number[], number[]] = [[], []];
  for (let round = 1; round <= options.rounds; round += 1) {
    const both = [
      async () => quiet.push(await oldestRate(ground, bench, frames, `round ${round}, no snapshot`)),
      async () =>
        held.push(await withSnapshot(ground, () => oldestRate(ground, bench, frames, `round ${round}, held`))),
    ];
    for (const measure of round % 2 === 1 ? both : both.toReversed()) {
      say(`round ${round}: ${options.snapshotSeconds} s ${measure === both[1] ? 'with' : 'without'} an old snapshot`);
      await measure();
    }
  }
  const product = figure('S5 store to done under an old snapshot', 'jobs/s', 'higher', held);
  const without = figure('store to done, no snapshot', 'jobs/s', 'higher', quiet, 'fact');
  const ratio = ratioOf(product, without);
  result.figures.push(product, without);
  result.ratios.push(ratio);
  const what = `throughput at the end of a snapshot of ${options.snapshotSeconds} s`;
  result.goals.push(
    atLeast('S5', what, shareMin, ratio.rounds),
    atMost('S5', 'dead rows on hot tables', 0, [await deadRows(ground)]),
  );
  await closeBench(ground, bench, 'S5');
}

/** Jobs per second of the last third of the time. */
async function oldestRate(
  { options, result }: StorageGround,
  bench: StorageBench,
  frames: readonly RowFrame[],
  title: string,
): Promise<number> {
  const beganAt = performance.now();
  const seconds = (): number => (performance.now() - beganAt) / 1000;
  const points: [number, number][] = [];
  const late: number[] = [];
  while (seconds() < options.snapshotSeconds || late.length === 0) {
    const rate = await cycleRate(bench, frames, options);
    points.push([Number(seconds().toFixed(2)), Math.round(rate)]);
    if (seconds() >= options.snapshotSeconds * (1 - oldestShare)) late.push(rate);
  }
  result.series.push({ plot: 'S5 store to done over time', name: title, xUnit: 's', yUnit: 'jobs/s', points });
  return late.reduce((sum, rate) => sum + rate, 0) / late.length;
}

async function withSnapshot<Value>({ postgres }: StorageGround, work: () => Promise<Value>): Promise<Value> {
  const session = await postgres.session();
  try {
    // It stays idle in its transaction for as long as it takes.
    await session.query('set idle_in_transaction_session_timeout = 0');
    await session.query('begin isolation level repeatable read; select count(*) from sluice_lanes');
    const value = await work();
    await session.query('commit');
    return value;
  } finally {
    await session.close();
  }
}

async function deadRows({ postgres }: StorageGround): Promise<number> {
  await postgres.query('select pg_stat_force_next_flush()').catch(() => undefined);
  const { rows } = await postgres.query<{ dead: number }>(
    'select coalesce(sum(n_dead_tup), 0)::int as dead from pg_stat_user_tables where relname ~ $1',
    [hotTables],
  );
  return rows[0]?.dead ?? 0;
}
