// What main and a worker thread say to each other about the thread itself: what the worker is given at its start, the
// control calls it answers, and the log lines it sends. Messages between actors go over links and are not part of this.

import type { MessagePort } from 'node:worker_threads';
import type { DrainOutcome } from './drain.ts';
import type { HandOverOptions } from './hand-over.ts';
import type { PlacementTable } from './placement.ts';
import type { HotActor } from './registry.ts';
import type { SystemStats } from './system-stats.ts';

/** The main thread is a peer like the others; workers count from 1. */
export const mainThreadId = 0;
export const mainRole = 'main';

/** `workerData` of a worker. */
export interface ThreadStart {
  threadId: number;
  role: string;
  /** Actor kind → role, for all kinds. */
  roles: Readonly<Record<string, string>>;
  threadData: unknown;
  refuseAskCycles: boolean;
  control: MessagePort;
  /** One Int32, bumped by the scheduler each turn; main watches it. */
  heartbeat: SharedArrayBuffer;
  /** See running-actor.ts. */
  running: SharedArrayBuffer;
}

/** What a thread knows about itself. */
export interface ThreadFigures {
  actors: number;
  parked: number;
  mailboxDepth: number;
  deadLetters: Record<string, number>;
  links: SystemStats['links'];
  /** What `ThreadOptions.collect` returned. */
  collected: unknown;
  /** Everything its actor system tells, from which the figures above are taken. */
  system: SystemStats | undefined;
}

/** How much work the actors of a thread are. */
export interface ActorLoad {
  /** Resident. */
  actors: number;
  /** The busiest of the last second. */
  hot: readonly HotActor[];
}

/** The control surface of a worker; a type and not an interface, so that it counts as a set of control methods. */
export type ThreadControl = {
  /** Resolves when the definitions are made; links and placement may come then. */
  ready(): Promise<void>;
  broadcast(topic: string, value: unknown): void;
  /** Takes effect in the order of the calls, like every method here that changes something. */
  attachLink(peer: number, port: MessagePort): Promise<void>;
  detachLink(peer: number, reason: string): Promise<void>;
  setPlacement(table: PlacementTable): Promise<void>;
  /** The steps of a move, see move.ts. */
  hold(address: string, epoch: number): Promise<boolean>;
  handOver(address: string, epoch: number, options: HandOverOptions): Promise<boolean>;
  fence(address: string, epoch: number): Promise<boolean>;
  release(address: string, epoch: number, table: PlacementTable | undefined): Promise<void>;
  /** Nothing to do but answer: a thread that cannot is stuck. */
  probe(): void;
  figures(): Promise<ThreadFigures>;
  /** Little enough to be asked for every second. */
  load(): Promise<ActorLoad>;
  /** Stops every actor, then calls `onDrained`. Again with a shorter deadline cuts it short. */
  drain(deadlineMs: number): Promise<DrainOutcome>;
  /** Closes every port; the thread ends when nothing else keeps it. */
  leave(): void;
};

/** Posted by a worker to main; main writes it with its own log. */
export interface ThreadLogLine {
  level: 'debug' | 'info' | 'warn' | 'error';
  fields: Record<string, unknown>;
  text: string;
}
