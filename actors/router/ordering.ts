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
  /** One for each key; it has no order to keep without any. */
  stands: readonly Stand<Payload>[];
  /** Lines in which another job comes first. 0 = ready. */
  blockedBy: number;
  isInside: boolean;
}

/** A place under one of its keys. */
interface Stand<Payload> {
  readonly key: string;
  readonly place: Place<Payload>;
  /** Undefined where it was given up, and after it was left. */
  line: Line<Payload> | undefined;
  previous: Stand<Payload> | undefined;
  next: Stand<Payload> | undefined;
}

interface Line<Payload> {
  head: Stand<Payload>;
  tail: Stand<Payload>;
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
    const [first = '', second = ''] = keys;
    const place: Place<Payload> = { payload, stands: [], blockedBy: 0, isInside: true };
    const own = this.#isKept(first, nowMs) ? this.#stand(place, first) : undefined;
    const other = second !== first && this.#isKept(second, nowMs) ? this.#stand(place, second) : undefined;
    // Literals, because a pushed array takes the room of sixteen, and there is one for every job.
    if (own !== undefined) place.stands = other === undefined ? [own] : [own, other];
    else if (other !== undefined) place.stands = [other];
    this.#jobs += 1;
    if (place.blockedBy > 0) this.#blockedJobs += 1;
    return place;
  }

  /** Removes a job for good. Returns the jobs that became ready by it, at most one per key. */
  leave(place: Place<Payload>, how: Leaving = 'otherwise'): Place<Payload>[] {
    assert(place.isInside, 'expected a job to leave the barrier once');
    place.isInside = false;
    let released: Place<Payload>[] = none;
    for (const stand of place.stands) {
      const { line } = stand;
      if (line === undefined) continue;
      if (how === 'succeeded') line.isCareful = false;
      else if (how === 'abortedAfterFailure') line.isCareful = true;
      const freed = this.#unlink(stand, line);
      if (freed?.blockedBy === 0) released = released === none ? [freed] : [...released, freed];
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
    if (jobsPerKeyMax === 0) return none;
    const released: Place<Payload>[] = [];
    for (const { key, line } of place.stands) {
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
    for (const { next: behind } of member.stands) {
      const next = behind?.place;
      if (next === undefined || isMember(next) || found.includes(next)) continue;
      const isFree = next.stands.every(
        ({ line, previous }) => previous === undefined || (isMember(previous.place) && line?.isCareful !== true),
      );
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
    if (key === '') return false;
    if (this.#relaxed.size === 0) return true;
    if (this.#relaxed.size > relaxedKeysSwept) {
      for (const one of this.#relaxed.keys()) if (this.modeOf(one, nowMs) === 'enabled') this.#relaxed.delete(one);
    }
    const mode = this.modeOf(key, nowMs);
    if (mode === 'enabled') this.#relaxed.delete(key);
    return mode !== 'suspended';
  }

  #stand(place: Place<Payload>, key: string): Stand<Payload> {
    const line = this.#lines.get(key);
    const stand: Stand<Payload> = { key, place, line, previous: line?.tail, next: undefined };
    if (line === undefined) {
      stand.line = { head: stand, tail: stand, jobs: 1, isCareful: false };
      this.#lines.set(key, stand.line);
      return stand;
    }
    line.tail.next = stand;
    line.tail = stand;
    line.jobs += 1;
    place.blockedBy += 1;
    return stand;
  }

  /** Takes a place out of one of its lines. Returns the one that is first now, when that changed. */
  #unlink(stand: Stand<Payload>, line: Line<Payload>): Place<Payload> | undefined {
    const { key, previous, next } = stand;
    detach(stand);
    line.jobs -= 1;
    if (next !== undefined) next.previous = previous;
    else if (previous !== undefined) line.tail = previous;
    if (previous !== undefined) {
      previous.next = next;
      return undefined;
    }
    if (next === undefined) {
      this.#lines.delete(key);
      return undefined;
    }
    line.head = next;
    next.place.blockedBy -= 1;
    return next.place;
  }

  #dissolve(key: string, line: Line<Payload>): Place<Payload>[] {
    const released: Place<Payload>[] = [];
    this.#lines.delete(key);
    let stand: Stand<Payload> | undefined = line.head;
    while (stand !== undefined) {
      const { next, place }: Stand<Payload> = stand;
      detach(stand);
      if (stand !== line.head) {
        place.blockedBy -= 1;
        if (place.blockedBy === 0) released.push(place);
      }
      stand = next;
    }
    return released;
  }
}

const none: never[] = [];

function detach(stand: Stand<unknown>): void {
  stand.line = undefined;
  stand.previous = undefined;
  stand.next = undefined;
}
