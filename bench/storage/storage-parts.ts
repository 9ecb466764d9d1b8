// The rows S1 to S4 and S6 of the design's table, one function each. Each adds its figures, ratios and goals to the
// result and leaves nothing pending, so that the ledger balances after each.

import { atLeast, atMost, figure, ratioOf } from '../harness/figures.ts';
import { inTurns } from '../harness/in-turns.ts';
import { namedLatency } from '../harness/merge.ts';
import { LatencyHistogram } from '../latency-histogram.ts';
import { destinationId, payloadOf, webhookRequest } from './job-frames.ts';
import { cycleRate, drainRate, storeJobs } from './storage-flows.ts';
import { closeBench, type StorageGround } from './storage-ground.ts';
import { walBetween, walByPart, walPosition } from './wal-parts.ts';

const copyShareMin = 0.85;
const backlogShareMin = 0.5;
const walShareMax = 1.35;
const addedMsMax = 1;

/** S1: COPY through the storage actor against a bare loop, groups of the same size on both sides. */
export async function measureCopy(ground: StorageGround): Promise<void> {
  const { bare, options, result, say } = ground;
  for (const groupRows of options.groupRows) {
    // A group holds one submission: its jobs, and the ledger row that comes with them.
    const bench = await ground.startBench({ flags: [`--storage.groupRowsMax=${groupRows + 1}`] });
    const [ours, raw] = [
      `S1 COPY through the storage actor, groups of ${groupRows}`,
      `bare COPY, groups of ${groupRows}`,
    ];
    const stored = async (): Promise<number> => {
      // Nobody takes the jobs while they are stored; afterwards they are drained, so that nothing piles up.
      bench.consumers.isOpen = false;
      bench.renewPartitions();
      const frames = bench.frames(groupRows, options.eventBytes);
      const beganAt = performance.now();
      const jobs = await storeJobs(bench, 'gw', frames, options.jobs);
      const rate = (jobs / (performance.now() - beganAt)) * 1000;
      await drainRate(bench, jobs);
      return rate;
    };
    const rates = await inTurns(
      [
        { name: raw, run: () => bare.copyRate(options.jobs, groupRows, bench.partitions, options.eventBytes) },
        { name: ours, run: stored },
      ],
      { rounds: options.rounds, warmUpRounds: 1, onRound: (round, name) => say(`round ${round}: ${name}`) },
    );
    const product = figure(ours, 'jobs/s', 'higher', rates.get(ours) ?? []);
    const limit = figure(raw, 'jobs/s', 'higher', rates.get(raw) ?? [], 'raw limit');
    const ratio = ratioOf(product, limit);
    result.figures.push(product, limit);
    result.ratios.push(ratio);
    result.goals.push(atLeast('S1', `groups of ${groupRows}: share of a bare COPY loop`, copyShareMin, ratio.rounds));
    await closeBench(ground, bench, `S1, groups of ${groupRows}`);
  }
}

/** S3: a backlog that nobody holds in memory any more, because the engine was started anew. */
export async function measureBacklog(ground: StorageGround): Promise<void> {
  const { options, result, say } = ground;
  const [cycle, drain]: [number[], number[]] = [[], []];
  for (let round = 1; round <= options.rounds; round += 1) {
    say(`round ${round}: store to done beside the backlog`);
    const before = await ground.startBench({ partitions: options.backlogPartitions });
    const frames = before.frames(options.submissionRows, options.eventBytes);
    cycle.push(await cycleRate(before, frames, options));
    // Partitions that are open would take the backlog as it comes: a new engine knows of no consumer.
    await before.stop();
    const storing = await ground.startBench({ partitions: options.backlogPartitions });
    say(`round ${round}: a backlog of ${options.backlogJobs} jobs`);
    const jobs = await storeJobs(storing, 'gw', frames, options.backlogJobs);
    await storing.stop();
    const draining = await ground.startBench({ partitions: options.backlogPartitions });
    say(`round ${round}: draining it`);
    drain.push(await drainRate(draining, jobs));
    await closeBench(ground, draining, `S3, round ${round}`);
  }
  const product = figure(`S3 drain of ${options.backlogJobs} jobs from Postgres`, 'jobs/s', 'higher', drain);
  const beside = figure('store to done, beside the backlog', 'jobs/s', 'higher', cycle, 'fact');
  const ratio = ratioOf(product, beside);
  result.figures.push(product, beside);
  result.ratios.push(ratio);
  result.goals.push(atLeast('S3', 'drain of a backlog: share of store to done', backlogShareMin, ratio.rounds));
}

/** S4: what a delivery costs in WAL, from the stored event over the processor's commit to the delivered job. */
export async function measureWal(ground: StorageGround): Promise<void> {
  const { options, result, say } = ground;
  const bench = await ground.startBench();
  bench.consumers.forward = routerParameters();
  const frames = bench.frames(options.submissionRows, options.eventBytes);
  const [bytesPerJob, share]: [number[], number[]] = [[], []];
  const parts = new Map<string, number[]>();
  for (let round = 0; round <= options.rounds; round += 1) {
    say(`round ${round}: WAL of a delivery`);
    const before = await walPosition(ground);
    const done = bench.consumers.done.rt;
    await cycleRate(bench, frames, { ...options, last: 'rt' });
    const jobs = bench.consumers.done.rt - done;
    const after = await walPosition(ground);
    const bytes = await walBetween(ground, before, after);
    // The first round makes the datasets and touches their pages for the first time.
    if (round === 0) continue;
    bytesPerJob.push(bytes / jobs);
    // Two jobs are stored for each delivery: the event, and the request it became.
    share.push(bytes / (2 * jobs * options.eventBytes));
    for (const [part, own] of await walByPart(ground, before, after)) {
      parts.set(part, [...(parts.get(part) ?? []), own / jobs]);
    }
  }
  result.figures.push(figure('S4 WAL of one delivery, all stages', 'bytes', 'lower', bytesPerJob));
  for (const [part, own] of parts) result.figures.push(figure(`WAL of ${part}`, 'bytes', 'lower', own, 'fact'));
  result.goals.push(atMost('S4', 'WAL against the payload bytes stored (gw and rt job)', walShareMax, share));
  await closeBench(ground, bench, 'S4');
}

/** S6: one commit at a time on an idle engine, each next to a bare commit of one row. */
export async function measureCommit(ground: StorageGround): Promise<void> {
  const { bare, options, result, say } = ground;
  const bench = await ground.startBench();
  const [frame] = bench.frames(1, options.eventBytes);
  if (frame === undefined) return;
  const payload = Buffer.from(payloadOf(options.eventBytes));
  const product = new LatencyHistogram();
  const limit = new LatencyHistogram();
  const [ours, raw, added]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round <= options.rounds; round += 1) {
    say(`round ${round}: commits on an idle engine`);
    const [ourTimes, rawTimes]: [number[], number[]] = [[], []];
    for (let index = 0; index < options.commits; index += 1) {
      rawTimes.push(await bare.commitMicros(payload));
      const beganAt = performance.now();
      await bench.store('gw', frame);
      ourTimes.push((performance.now() - beganAt) * 1000);
    }
    if (round === 0) continue;
    for (const micros of ourTimes) product.record(micros);
    for (const micros of rawTimes) limit.record(micros);
    ours.push(middle(ourTimes) / 1000);
    raw.push(middle(rawTimes) / 1000);
    added.push((middle(ourTimes) - middle(rawTimes)) / 1000);
  }
  await drainRate(bench, options.commits * (options.rounds + 1));
  result.figures.push(
    figure('S6 commit of one job, idle, p50', 'ms', 'lower', ours),
    figure('bare commit of one row, p50', 'ms', 'lower', raw, 'raw limit'),
  );
  result.latencies.push(
    namedLatency('commit of one job, idle', product),
    namedLatency('bare commit of one row', limit),
  );
  result.goals.push(atMost('S6', 'p50 added to a bare commit', addedMsMax, added, 'ms'));
  await closeBench(ground, bench, 'S6');
}

function middle(values: readonly number[]): number {
  return [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0;
}

/** Those of a webhook: its request as the product stores it. */
function routerParameters(): string {
  return JSON.stringify({
    source_id: 'src-bench',
    destination_id: destinationId,
    workspace_id: 'ws-bench',
    event_name: 'Order Completed',
    event_type: 'track',
    request: webhookRequest('http://127.0.0.1:8080/hook'),
  });
}
