// Which thread an actor lives in: rendezvous hashing over the threads of its role, overruled by pins. Every thread
// computes the same answer from the same table, so no message asks for directions. When a thread joins or leaves, only
// the actors that lived there, or will live there, move.

import { hashAddress, scramble } from './address.ts';

/** Plain data: main makes it, every thread is sent a copy. */
export interface PlacementTable {
  /** Grows with every change; an older table never replaces a newer one. */
  epoch: number;
  threadsByRole: Record<string, number[]>;
  /** Printed address → thread. A pin to a thread that is not in its role's list is ignored. */
  pins: Record<string, number>;
}

/** Scores of threads compared for one address, highest wins; ties (about 1 in 2^32) go to the lower id. */
export function chooseThread(addressHash: number, threads: readonly number[]): number | undefined {
  let best: number | undefined;
  let bestScore = -1;
  for (const threadId of threads) {
    const score = scramble(addressHash ^ scramble(threadId + 0x9e3779b9));
    if (score > bestScore || (score === bestScore && best !== undefined && threadId < best)) {
      best = threadId;
      bestScore = score;
    }
  }
  return best;
}

export class Placement {
  readonly table: PlacementTable;
  private readonly pins: ReadonlyMap<string, number>;
  private readonly threadsByRole: ReadonlyMap<string, readonly number[]>;

  constructor(table: PlacementTable) {
    this.table = table;
    this.pins = new Map(Object.entries(table.pins));
    this.threadsByRole = new Map(Object.entries(table.threadsByRole));
  }

  get epoch(): number {
    return this.table.epoch;
  }

  hosts(role: string, threadId: number): boolean {
    return this.threadsByRole.get(role)?.includes(threadId) === true;
  }

  /** Undefined when no thread has the role. */
  ownerOf(role: string, kind: string, key: string): number | undefined {
    const threads = this.threadsByRole.get(role);
    if (threads === undefined || threads.length === 0) return undefined;
    if (this.pins.size > 0) {
      const pinned = this.pins.get(`${kind}/${key}`);
      if (pinned !== undefined && threads.includes(pinned)) return pinned;
    }
    return threads.length === 1 ? threads[0] : chooseThread(hashAddress(kind, key), threads);
  }
}

/** A new table in which one address lives in a given thread, or wherever the hash says when `threadId` is undefined. */
export function withPin(table: PlacementTable, address: string, threadId: number | undefined): PlacementTable {
  const { [address]: _dropped, ...pins } = table.pins;
  if (threadId !== undefined) pins[address] = threadId;
  return { epoch: table.epoch + 1, threadsByRole: table.threadsByRole, pins };
}
