// The owner's part in moving an actor: wait until every other thread has sent its fence, so that nothing sent before
// the hold can still arrive, then let the actor handle what it has and stop. Fences may come before main's call.

import type { ActorAddress } from './address.ts';
import { formatAddress } from './address.ts';
import type { Cell } from './cell.ts';
import type { Registry } from './registry.ts';
import { CallbackWait, type Timers } from './timers.ts';

export interface HandOverOptions {
  /** Threads whose fences must have arrived: all that may send, but the owner. */
  peers: readonly number[];
  deadlineMs: number;
}

/** Fences of moves that never came to a hand-over are forgotten beyond this many. */
const rememberedMax = 1024;

export class HandOvers {
  private readonly fences = new Map<string, Set<number>>();
  private readonly waiting = new Map<string, () => void>();
  private readonly callOffs = new Set<() => void>();
  private isClosed = false;
  private readonly registry: Registry;
  private readonly timers: Timers;

  constructor(registry: Registry, timers: Timers) {
    this.registry = registry;
    this.timers = timers;
  }

  fenced(address: ActorAddress, epoch: number, peer: number): void {
    const name = nameOf(address, epoch);
    this.fencesOf(name).add(peer);
    this.waiting.get(name)?.();
  }

  /** The thread stops: nothing moves any more, and whoever waits is told so, since no deadline will come. */
  close(): void {
    this.isClosed = true;
    for (const callOff of [...this.callOffs]) callOff();
  }

  /** Resolves true when the actor has stopped (or never lived) here; false when it goes on living here. */
  run(address: ActorAddress, epoch: number, options: HandOverOptions): Promise<boolean> {
    if (this.isClosed) return Promise.resolve(false);
    const name = nameOf(address, epoch);
    return new Promise((resolve) => {
      let isStopping = false;
      const end = (isMoved: boolean): void => {
        this.timers.remove(deadline);
        this.waiting.delete(name);
        this.fences.delete(name);
        this.callOffs.delete(callOff);
        resolve(isMoved);
      };
      const callOff = (): void => end(false);
      this.callOffs.add(callOff);
      const deadline = new CallbackWait(() => {
        // Once `onStop` runs there is no way back: it is waited for, and has a deadline of its own.
        if (!isStopping) end(false);
        else this.cellOf(address)?.cancelMove();
      });
      const check = (): void => {
        const arrived = this.fencesOf(name);
        if (isStopping || !options.peers.every((peer) => arrived.has(peer))) return;
        isStopping = true;
        const cell = this.cellOf(address);
        if (cell === undefined) end(true);
        else cell.requestStop('migrating', end);
      };
      this.timers.add(deadline, options.deadlineMs);
      this.waiting.set(name, check);
      check();
    });
  }

  private cellOf(address: ActorAddress): Cell | undefined {
    return this.registry.find(address.kind, address.key);
  }

  private fencesOf(name: string): Set<number> {
    const known = this.fences.get(name);
    if (known !== undefined) return known;
    for (const oldest of this.fences.keys()) {
      if (this.fences.size < rememberedMax) break;
      this.fences.delete(oldest);
    }
    const fences = new Set<number>();
    this.fences.set(name, fences);
    return fences;
  }
}

function nameOf(address: ActorAddress, epoch: number): string {
  return `${epoch} ${formatAddress(address)}`;
}
