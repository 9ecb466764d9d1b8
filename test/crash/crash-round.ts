// One crash: brings a stage to the point, lets it happen, and says what did not hold afterwards.

import { repeatedAfterAnswer, resent } from './crash-judge.ts';
import type { CrashKind, CrashOrder } from './crash-seam.ts';
import type { CrashStage } from './crash-stage.ts';

/**
 * When in the life of a process a point is reached: in the start on an empty database; in the start on one in use, until
 * what was left unfinished is done; at work; in the drain; or while another process joins, shares the work and goes.
 */
export type Phase = 'first' | 'start' | 'run' | 'stop' | 'shared';
export const phases: readonly Phase[] = ['first', 'start', 'run', 'stop', 'shared'];

export interface Round {
  point: string;
  kind: CrashKind;
  phase: Phase;
  occurrence: number;
}

/** Acknowledged before a process is killed or stopped, so that it leaves something unfinished behind. */
const unfinishedMin = 25;
/** Acknowledged by two processes together, before one of them goes. */
const sharedMin = 60;
/** Acknowledged after PostgreSQL has come back under a process that was not restarted. */
const afterReturnMin = 10;
const startsMax = 5;
/** How the fault begins when no crash took place. */
export const notReached = 'the point was not reached';

/** The stage holds a process that is ready and quiet, except in phase `first`, where it is empty. */
export async function playRound(stage: CrashStage, round: Round, postmasterPidFile: string): Promise<string[]> {
  const order: CrashOrder = { ...round, postmasterPidFile };
  switch (round.phase) {
    case 'first':
      return await crashAtStart(stage, order, false);
    case 'start':
      return await crashAtStart(stage, order, true);
    case 'run':
      return order.kind === 'self' ? await crashAtWork(stage, order) : await losePostgresAtWork(stage, order);
    case 'stop':
      return await crashAtStop(stage, order);
    case 'shared':
      return await crashBesideAnother(stage, order);
  }
}

async function crashAtStart(stage: CrashStage, order: CrashOrder, leaveWork: boolean): Promise<string[]> {
  if (leaveWork) {
    await workUntil(stage, unfinishedMin);
    await stage.process.kill();
    await stage.stopLoad();
  }
  const mark = stage.mark;
  const before = leaveWork ? await stage.readDisk() : { faults: [], open: new Set<string>() };
  const crashesBefore = stage.postgresCrashes;
  let isReady = await stage.start(order);
  if (isReady && leaveWork) isReady = await stage.quiet();
  const faults = [...before.faults];
  const crashed = order.kind === 'self' ? stage.process.end === 'killed' : stage.postgresCrashes > crashesBefore;
  if (!crashed) faults.unshift(describeMiss(stage, order));
  for (let starts = 1; !isReady && starts < startsMax; starts += 1) isReady = await stage.start();
  if (!isReady) return [...faults, `it does not start any more:\n${stage.process.output.slice(-2_000)}`];
  if (!leaveWork) {
    stage.startLoad();
    await stage.acknowledgedMore(unfinishedMin);
    await stage.stopLoad();
  }
  faults.push(...(await stage.judge()));
  return [...faults, ...resent(stage.destination.deliveries, mark, before.open)];
}

async function crashAtWork(stage: CrashStage, order: CrashOrder): Promise<string[]> {
  stage.process.command({ kind: 'arm', order });
  stage.startLoad();
  await stage.loaded();
  if (stage.process.end !== 'killed') return [describeMiss(stage, order)];
  return await recover(stage);
}

async function losePostgresAtWork(stage: CrashStage, order: CrashOrder): Promise<string[]> {
  const crashed = stage.process.next('crashed');
  stage.process.command({ kind: 'arm', order });
  stage.startLoad();
  const event = await Promise.race([crashed, stage.loaded().then(() => undefined)]);
  if (event === undefined) {
    await stage.stopLoad();
    return [describeMiss(stage, order)];
  }
  const mark = stage.mark;
  await stage.restartPostgres();
  await stage.acknowledgedMore(afterReturnMin);
  await stage.stopLoad();
  const faults = await stage.judge();
  const repeated = repeatedAfterAnswer(stage.destination.deliveries, mark);
  if (repeated.length > 0)
    faults.push(`sent again after their answer, without a crash of ours: ${repeated.slice(0, 5)}`);
  return faults;
}

async function crashAtStop(stage: CrashStage, order: CrashOrder): Promise<string[]> {
  await workUntil(stage, unfinishedMin);
  const { process } = stage;
  process.command({ kind: 'arm', order });
  const { postgresCrashes } = stage;
  const crashed = process.next('crashed').then((event) => (event === undefined ? undefined : stage.restartPostgres()));
  process.command({ kind: 'stop' });
  await process.ended;
  await crashed;
  await stage.stopLoad();
  const reached = order.kind === 'self' ? process.end === 'killed' : stage.postgresCrashes > postgresCrashes;
  const faults = reached ? [] : [`${notReached} in the stop`];
  return [...faults, ...(await recover(stage))];
}

/** The other process takes over what a killed one leaves, and gives it back to its successor. */
async function crashBesideAnother(stage: CrashStage, order: CrashOrder): Promise<string[]> {
  const { process, postgresCrashes } = stage;
  process.command({ kind: 'arm', order });
  stage.restartPostgresAfter(process);
  await share(stage, order.occurrence % 2 === 0);
  const reached = order.kind === 'self' ? process.end === 'killed' : stage.postgresCrashes > postgresCrashes;
  const faults = reached ? [] : [describeMiss(stage, order)];
  if (process.end !== undefined && !(await stage.start()))
    return [...faults, `it does not start any more:\n${stage.process.output.slice(-2_000)}`];
  await stage.part(false);
  return [...faults, ...(await stage.judge())];
}

/** One pass through everything that only several processes reach. Ends when the process is quiet and alone, or over. */
export async function share(stage: CrashStage, isKilled: boolean): Promise<void> {
  await stage.join();
  stage.startLoad();
  await stage.acknowledgedMore(sharedMin);
  // While events are accepted for it, so that it leaves some in an inbox.
  if (stage.process.end === undefined) await stage.part(isKilled);
  await stage.stopLoad();
  if (stage.process.end === undefined) await stage.quiet();
}

async function recover(stage: CrashStage): Promise<string[]> {
  const mark = stage.mark;
  const disk = await stage.readDisk();
  const faults = [...disk.faults];
  if (!(await stage.start())) return [...faults, `it does not start any more:\n${stage.process.output.slice(-2_000)}`];
  faults.push(...(await stage.judge()));
  return [...faults, ...resent(stage.destination.deliveries, mark, disk.open)];
}

async function workUntil(stage: CrashStage, count: number): Promise<void> {
  stage.startLoad();
  await stage.acknowledgedMore(count);
}

function describeMiss(stage: CrashStage, order: CrashOrder): string {
  const { end, output } = stage.process;
  return `${notReached} ${order.occurrence} times${end === undefined ? '' : `, the process ended:\n${output.slice(-2_000)}`}`;
}
