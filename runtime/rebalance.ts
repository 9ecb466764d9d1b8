// Which hot actors should move between threads of one role: a pure function of what the threads report. When it is
// asked is up to rebalancer.ts, and how an actor moves to move.ts.

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
