// What the pool knows of each thread, and the figures by which threads are watched and respawned.
// Slot: starting → live → lost → (backoff) → starting …; at the end: live → draining → left.

import type { SupervisionOptions } from './actor.ts';
import type { PoolThread } from './pool-thread.ts';
import { type RebalancerOptions, rebalancerDefaults } from './rebalancer.ts';
import type { StallWatch } from './stall-watch.ts';
import { supervisionDefaults } from './supervision.ts';

export interface ThreadGroup {
  role: string;
  /** Threads, 1 or more. */
  count: number;
  /** Hosts native storage: drained, never terminated before the deadline; a stall only alarms. */
  drainOnly?: boolean;
  heapMbMax?: number;
  /** Its threads are started by `startGroup`, not with the others: what few installations need costs the others nothing. */
  deferred?: boolean;
  /** Runs what nobody vouches for: however often its threads are lost, the others go on. */
  expendable?: boolean;
}

/** How threads are watched and respawned; every figure has a default. */
export interface ThreadTuning {
  /** Longest start of a thread until its definitions are made. */
  startTimeoutMs: number;
  /** Longest wait for the answer to a small control call. */
  callTimeoutMs: number;
  /** A thread that shows no life for this many checks in a row is stuck. */
  stallCheckMs: number;
  stallChecksMax: number;
  /** How much later than its deadline a thread's answer to a drain may come. */
  drainGraceMs: number;
  /** Time for threads to end by themselves after the drain. */
  leaveMs: number;
  /** For a move: fences and the last messages of the actor. */
  moveMs: number;
  supervision: SupervisionOptions;
  /** When hot actors are moved to a cooler thread of their role. */
  rebalance: RebalancerOptions;
}

export const threadTuningDefaults: Readonly<ThreadTuning> = Object.freeze({
  startTimeoutMs: 60_000,
  callTimeoutMs: 30_000,
  stallCheckMs: 1_000,
  stallChecksMax: 10,
  drainGraceMs: 500,
  leaveMs: 2_000,
  moveMs: 2_000,
  supervision: supervisionDefaults,
  rebalance: rebalancerDefaults,
});

export interface ThreadLoss {
  role: string;
  threadId: number;
  reason: string;
}

export type SlotState = 'starting' | 'live' | 'lost' | 'draining' | 'left';

/** One thread id. `thread` is its present worker; `spare` one that was started while the present one is stuck. */
export interface Slot {
  readonly threadId: number;
  readonly group: ThreadGroup;
  state: SlotState;
  thread: PoolThread;
  spare: PoolThread | undefined;
  watch: StallWatch | undefined;
  restarts: number;
  startedMs: number;
}
