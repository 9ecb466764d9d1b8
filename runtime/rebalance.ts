// Moves hot actors between threads of one role. Choosing is a pure function of what threads report; moving is a dance
// of three steps over the control plane (hold, hand over, release) in which nothing is lost and no sender's messages
// change order: every sender holds back and fences first, the owner stops the actor only behind all fences, and only
// then the new place is told. Whatever goes wrong before that, the actor stays where it is.

import type { HandOverOptions } from './hand-over.ts';
import { type PlacementTable, withPin } from './placement.ts';
import type { HotActor } from './registry.ts';

export interface ThreadReport {
  threadId: number;
  role: string;
  /** Lowest and highest event-loop utilization of the last ten seconds, 0..1. */
  utilizationMin: number;
  utilizationMax: number;
  /** Resident actors. */
  actors: number;
  /** Busiest actors of the last second, with their handler time in it. */
  hot: readonly HotActor[];
}

export interface Move {
  address: string;
  from: number;
  to: number;
}

export interface RebalanceOptions {
  /** A thread is hot while its utilization stays above this. */
  hotAbove: number;
  /** A thread can take more while its utilization stays below this. */
  coolBelow: number;
  /** Share of one second of thread time: less is not worth a move, more would only move the trouble. */
  shareMin: number;
  shareMax: number;
  /** Of a thread's actors, at most this share moves in one round; at least one may. */
  movedShareMax: number;
}

export const rebalanceDefaults: Readonly<RebalanceOptions> = Object.freeze({
  hotAbove: 0.85,
  coolBelow: 0.5,
  shareMin: 0.15,
  shareMax: 0.8,
  movedShareMax: 0.1,
});

/** Each cool thread is given at most one actor a round: its load must be seen again before it gets another. */
export function chooseMoves(reports: readonly ThreadReport[], given: Partial<RebalanceOptions> = {}): Move[] {
  const options = { ...rebalanceDefaults, ...given };
  const moves: Move[] = [];
  const cool = reports
    .filter((report) => report.utilizationMax < options.coolBelow)
    .sort((one, other) => one.utilizationMax - other.utilizationMax || one.threadId - other.threadId);
  const hot = reports
    .filter((report) => report.utilizationMin > options.hotAbove)
    .sort((one, other) => other.utilizationMin - one.utilizationMin || one.threadId - other.threadId);
  for (const { threadId: from, role, actors, hot: busiest } of hot) {
    let allowed = Math.max(1, Math.floor(actors * options.movedShareMax));
    for (const { address, busyMs } of busiest) {
      const share = busyMs / 1000;
      if (allowed === 0) break;
      if (share < options.shareMin || share > options.shareMax) continue;
      const target = cool.findIndex((report) => report.role === role && report.threadId !== from);
      const [taken] = target < 0 ? [] : cool.splice(target, 1);
      if (taken === undefined) break;
      moves.push({ address, from, to: taken.threadId });
      allowed -= 1;
    }
  }
  return moves;
}

/** The three steps as main calls them in one thread; rejects when that thread is lost. */
export interface MoveControl {
  readonly threadId: number;
  hold(address: string, epoch: number): Promise<boolean>;
  handOver(address: string, epoch: number, options: HandOverOptions): Promise<boolean>;
  release(address: string, epoch: number, table?: PlacementTable): Promise<void>;
}

export interface MoveRequest extends Move {
  /** The table in force. */
  table: PlacementTable;
  /** Every thread that can send, main too. */
  controls: readonly MoveControl[];
  /** For the fences and the mailbox in hand; default 2 s. */
  deadlineMs?: number;
  /** The actor has stopped in its old place: from this moment the new table is the one threads must be started with. */
  decided(table: PlacementTable): void;
}

export interface MoveOutcome {
  isMoved: boolean;
  /** To be used from now on. Its epoch is spent even when the move was called off, so that late fences mean nothing. */
  table: PlacementTable;
}

const moveDeadlineMsDefault = 2000;

/** One move at a time: the epoch names it. */
export async function moveActor(request: MoveRequest): Promise<MoveOutcome> {
  const { address, from, to, table, controls } = request;
  const epoch = table.epoch + 1;
  const releaseAll = (threads: readonly MoveControl[], next?: PlacementTable): Promise<unknown> =>
    Promise.allSettled(threads.map((control) => control.release(address, epoch, next)));
  const owner = controls.find((control) => control.threadId === from);
  const target = controls.find((control) => control.threadId === to);
  if (owner === undefined || target === undefined) return { isMoved: false, table };
  const held = await Promise.allSettled(controls.map((control) => control.hold(address, epoch)));
  const peers = controls.filter((control) => control !== owner).map((control) => control.threadId);
  const isHeld = held.every((outcome) => outcome.status === 'fulfilled' && outcome.value);
  const deadlineMs = request.deadlineMs ?? moveDeadlineMsDefault;
  // A lost owner answers with a rejection: its actors are gone, and will be made again where they were.
  const isHandedOver = isHeld && (await owner.handOver(address, epoch, { peers, deadlineMs }).catch(() => false));
  if (!isHandedOver) {
    await releaseAll(controls);
    return { isMoved: false, table: { ...table, epoch } };
  }
  const next = withPin(table, address, to);
  request.decided(next);
  await releaseAll([target], next);
  await releaseAll(
    controls.filter((control) => control !== target),
    next,
  );
  return { isMoved: true, table: next };
}
