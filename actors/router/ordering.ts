// The per-user barrier of one destination: event k+1 of a user is never sent while event k may still be retried.
// Pure state without I/O; the caller gives the time and decides when a job enters and when it leaves.
//
//   enter --> waiting   some other job is first under one of its keys
//         \-> ready     first in line under every key: may be sent; it stays first while it fails and is retried
//   ready --leave--> gone     after its terminal status was committed; its successors may become ready
//   waiting --leave--> gone   only one that was sent in one request with those before it, and ended before they did
//
// A job has up to two keys (anonymous id and user id). All lines are in the order of entry, so the oldest job of the
// barrier is always ready and two lines can never wait for each other.
//
// A line may be given up for a while when it has become too long (`jobsPerKeyMax`), so that a "user" who is none (a
// server's id in every event) does not hold a destination to one event at a time:
//
//   enabled --too long--> suspended --suspendedMs--> half-enabled --halfEnabledMs--> enabled
//
// Suspended: no line at all. Half-enabled: lines again, while jobs of before may still be on their way or be retried.

import { strict as assert } from 'node:assert';

export interface OrderingPolicy {
  /** Jobs in one line beyond which it is given up; 0: never. */
  jobsPerKeyMax: number;
  suspendedMs: number;
  halfEnabledMs: number;
}

/** Order is kept whatever it costs. */
export const strictOrdering: OrderingPolicy = { jobsPerKeyMax: 0, suspendedMs: 0, halfEnabledMs: 0 };

export type KeyMode = 'enabled' | 'suspended' | 'half-enabled';

/** A job's place in the lines. `Payload` is whatever the caller keeps with it. */
export interface Place<Payload> {
  readonly payload: Payload;
  readonly keys: readonly string[];
  /** Lines in which another job comes first. 0 = ready. */
  blockedBy: number;
  isInside: boolean;
  /** The line of each key, undefined where it was given up. */
  readonly lines: (Line<Payload> | undefined)[];
  /** The neighbours in line, by position of the key in `keys`. */
  readonly next: (Place<Payload> | undefined)[];
  readonly previous: (Place<Payload> | undefined)[];
}

interface Line<Payload> {
  head: Place<Payload>;
  tail: Place<Payload>;
  jobs: number;
  /** Its first job was given up after it had failed, and none has succeeded since. */
  isCareful: boolean;
}

export interface OrderingStats {
  jobs: number;
  /** Jobs that may not be sent yet. */
  blockedJobs: number;
  /** Keys (user or anonymous ids) with at least one job. */
  users: number;
  /** Keys whose order is suspended or half-enabled, as of the last entry under each. */
  relaxedUsers: number;
}

/** How a job left. `abortedAfterFailure`: it had been tried, failed, and was given up. */
export type Leaving = 'succeeded' | 'abortedAfterFailure' | 'otherwise';

/** Relaxed keys that are kept before those whose time is over are looked for. */
const relaxedKeysSwept = 1_000;

export class Ordering<Payload> {
  readonly #policy: OrderingPolicy;
  readonly #lines = new Map<string, Line<Payload>>();
  /** Since when a key's order is suspended. */
  readonly #relaxed = new Map<string, number>();
  #jobs = 0;
  #blockedJobs = 0;

  constructor(policy: OrderingPolicy = strictOrdering) {
    this.#policy = policy;
  }

  /** Puts a job at the end of its lines. Jobs enter in id order. An empty key has no order to keep. */
  enter(keys: readonly string[], payload: Payload, nowMs = 0): Place<Payload> {
    const used = keys.filter((key, index) => key !== '' && keys.indexOf(key) === index && this.#isKept(key, nowMs));
    const place: Place<Payload> = {
      payload,
      keys: used,
      blockedBy: 0,
      isInside: true,
      lines: [],
      next: [],
      previous: [],
    };
    for (const key of used) {
      const line = this.#lines.get(key);
      const previous = line?.tail;
      place.next.push(undefined);
      place.previous.push(previous);
      if (line === undefined || previous === undefined) {
        const own: Line<Payload> = { head: place, tail: place, jobs: 1, isCareful: false };
        this.#lines.set(key, own);
        place.lines.push(own);
        continue;
      }
      previous.next[previous.keys.indexOf(key)] = place;
      line.tail = place;
      line.jobs += 1;
      place.lines.push(line);
      place.blockedBy += 1;
    }
    this.#jobs += 1;
    if (place.blockedBy > 0) this.#blockedJobs += 1;
    return place;
  }

  /** Removes a job for good. Returns the jobs that became ready by it, at most one per key. */
  leave(place: Place<Payload>, how: Leaving = 'otherwise'): Place<Payload>[] {
    assert(place.isInside, 'expected a job to leave the barrier once');
    place.isInside = false;
    const released: Place<Payload>[] = [];
    for (let index = 0; index < place.keys.length; index += 1) {
      const line = place.lines[index];
      if (line === undefined) continue;
      if (how === 'succeeded') line.isCareful = false;
      else if (how === 'abortedAfterFailure') line.isCareful = true;
      const freed = this.#unlink(place, index, line);
      if (freed?.blockedBy === 0) released.push(freed);
    }
    this.#jobs -= 1;
    if (place.blockedBy > 0) this.#blockedJobs -= 1;
    this.#blockedJobs -= released.length;
    return released;
  }

  /**
   * Gives up the lines that have become longer than the policy allows, counted by this place. Returns the jobs that
   * became ready by it.
   */
  relax(place: Place<Payload>, nowMs: number): Place<Payload>[] {
    const { jobsPerKeyMax } = this.#policy;
    const released: Place<Payload>[] = [];
    if (jobsPerKeyMax === 0) return released;
    for (const [index, key] of place.keys.entries()) {
      const line = place.lines[index];
      if (line === undefined || line.jobs <= jobsPerKeyMax) continue;
      this.#relaxed.set(key, nowMs);
      released.push(...this.#dissolve(key, line));
    }
    this.#blockedJobs -= released.length;
    return released;
  }

  /**
   * The jobs behind `member` that may go into its request: all that stands right before each of them goes there as well.
   * In a line whose first job was just given up, one job goes alone until one succeeds.
   */
  followers(member: Place<Payload>, isMember: (place: Place<Payload>) => boolean): Place<Payload>[] {
    const found: Place<Payload>[] = [];
    for (const next of member.next) {
      if (next === undefined || isMember(next) || found.includes(next)) continue;
      const isFree = next.lines.every((line, index) => {
        const before = next.previous[index];
        return line === undefined || before === undefined || (isMember(before) && !line.isCareful);
      });
      if (isFree) found.push(next);
    }
    return found;
  }

  /** What becomes of the order of a key. */
  modeOf(key: string, nowMs: number): KeyMode {
    const sinceMs = this.#relaxed.get(key);
    if (sinceMs === undefined) return 'enabled';
    const { suspendedMs, halfEnabledMs } = this.#policy;
    if (nowMs < sinceMs + suspendedMs) return 'suspended';
    return nowMs < sinceMs + suspendedMs + halfEnabledMs ? 'half-enabled' : 'enabled';
  }

  stats(): OrderingStats {
    return {
      jobs: this.#jobs,
      blockedJobs: this.#blockedJobs,
      users: this.#lines.size,
      relaxedUsers: this.#relaxed.size,
    };
  }

  /** Whether jobs of this key stand in line now; forgets what is over. */
  #isKept(key: string, nowMs: number): boolean {
    if (this.#relaxed.size === 0) return true;
    if (this.#relaxed.size > relaxedKeysSwept) {
      for (const one of this.#relaxed.keys()) if (this.modeOf(one, nowMs) === 'enabled') this.#relaxed.delete(one);
    }
    const mode = this.modeOf(key, nowMs);
    if (mode === 'enabled') this.#relaxed.delete(key);
    return mode !== 'suspended';
  }

  /** Takes a place out of one of its lines. Returns the one that is first now, when that changed. */
  #unlink(place: Place<Payload>, index: number, line: Line<Payload>): Place<Payload> | undefined {
    const key = place.keys[index] ?? '';
    const [previous, next] = [place.previous[index], place.next[index]];
    place.lines[index] = undefined;
    place.previous[index] = undefined;
    place.next[index] = undefined;
    line.jobs -= 1;
    if (next !== undefined) next.previous[next.keys.indexOf(key)] = previous;
    else if (previous !== undefined) line.tail = previous;
    if (previous !== undefined) {
      previous.next[previous.keys.indexOf(key)] = next;
      return undefined;
    }
    if (next === undefined) {
      this.#lines.delete(key);
      return undefined;
    }
    line.head = next;
    next.blockedBy -= 1;
    return next;
  }

  #dissolve(key: string, line: Line<Payload>): Place<Payload>[] {
    const released: Place<Payload>[] = [];
    this.#lines.delete(key);
    for (let place: Place<Payload> | undefined = line.head; place !== undefined; ) {
      const index = place.keys.indexOf(key);
      const next: Place<Payload> | undefined = place.next[index];
      place.lines[index] = undefined;
      place.previous[index] = undefined;
      place.next[index] = undefined;
      if (place !== line.head) {
        place.blockedBy -= 1;
        if (place.blockedBy === 0) released.push(place);
      }
      place = next;
    }
    return released;
  }
}
