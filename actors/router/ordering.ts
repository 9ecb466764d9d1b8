// The per-user barrier of one destination: event k+1 of a user is never sent while event k may still be retried.
// Pure state, no clock and no I/O; the router decides when a job enters and when it leaves.
//
//   enter --> waiting   some other job is first under one of its keys
//         \-> ready     first in line under every key: may be sent; it stays first while it fails and is retried
//   ready --leave--> gone   only after its terminal status was committed; its successors may become ready
//
// A job has up to two keys (anonymous id and user id). All lines are in the order of entry, so the oldest job of the
// barrier is always ready and two lines can never wait for each other.

import { strict as assert } from 'node:assert';

/** A job's place in the lines. `Payload` is whatever the caller keeps with it. */
export interface Place<Payload> {
  readonly payload: Payload;
  readonly keys: readonly string[];
  /** Lines in which another job comes first. 0 = ready. */
  blockedBy: number;
  /** The next in line, by position of the key in `keys`; filled when a successor enters. */
  readonly next: (Place<Payload> | undefined)[];
}

interface Line<Payload> {
  head: Place<Payload>;
  tail: Place<Payload>;
}

export interface OrderingStats {
  jobs: number;
  /** Jobs that may not be sent yet. */
  blockedJobs: number;
  /** Keys (user or anonymous ids) with at least one job. */
  users: number;
}

export class Ordering<Payload> {
  readonly #lines = new Map<string, Line<Payload>>();
  #jobs = 0;
  #blockedJobs = 0;

  /** Puts a job at the end of its lines. Jobs enter in id order. An empty key has no order to keep. */
  enter(keys: readonly string[], payload: Payload): Place<Payload> {
    const used = keys.filter((key, index) => key !== '' && keys.indexOf(key) === index);
    const place: Place<Payload> = { payload, keys: used, blockedBy: 0, next: used.map(() => undefined) };
    for (const key of used) {
      const line = this.#lines.get(key);
      if (line === undefined) this.#lines.set(key, { head: place, tail: place });
      else {
        line.tail.next[line.tail.keys.indexOf(key)] = place;
        line.tail = place;
        place.blockedBy += 1;
      }
    }
    this.#jobs += 1;
    if (place.blockedBy > 0) this.#blockedJobs += 1;
    return place;
  }

  /** Removes a ready job for good. Returns the jobs that became ready by it, at most one per key. */
  leave(place: Place<Payload>): Place<Payload>[] {
    assert(place.blockedBy === 0, 'expected a job that leaves the barrier to be first under each of its keys');
    const { keys, next } = place;
    const released: Place<Payload>[] = [];
    for (let index = 0; index < keys.length; index += 1) {
      const key = keys[index] ?? '';
      const line = this.#lines.get(key);
      assert(line !== undefined && line.head === place, 'expected a job to leave the barrier once');
      const successor = next[index];
      if (successor === undefined) {
        this.#lines.delete(key);
        continue;
      }
      line.head = successor;
      successor.blockedBy -= 1;
      if (successor.blockedBy === 0) released.push(successor);
    }
    this.#jobs -= 1;
    this.#blockedJobs -= released.length;
    return released;
  }

  stats(): OrderingStats {
    return { jobs: this.#jobs, blockedJobs: this.#blockedJobs, users: this.#lines.size };
  }
}
