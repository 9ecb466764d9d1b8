// What the storage actor knows of one partition of one queue: who has it open, what it was handed, what waits.
// Plain state and its legal transitions; hand-off.ts decides when they happen.
//
//   rows of a partition, by job id:   finished … | outstanding (handed out) | tail (in memory) | behind (on disk only)
//                                                                    cursor ^
// Invariants: every unfinished job with an id <= cursor is in `outstanding`; no job with an id > cursor was ever
// handed out; `tail` is contiguous in partition order from the cursor on; while `behind`, rows after the tail's end
// (or after the cursor when it is empty) must be read back from Postgres.

import type { QueueName } from '../job.ts';
import type { JobStatus } from './contract.ts';

export interface StoredRow {
  jobId: number;
  /** The tuple, with its id, lies in here: no view of its own, because a busy thread holds many thousands. */
  source: Buffer;
  start: number;
  byteLength: number;
}

export interface OutstandingJob {
  receivedAtMs: number;
  /** Size of its row: what reading it again costs. */
  bytes: number;
  /** Last explicit status, e.g. of a failed attempt, without its response. */
  status: JobStatus | undefined;
}

export interface Partition {
  readonly queue: QueueName;
  readonly key: string;
  /** Session of the consumer that has the partition open; 0 = nobody. */
  session: number;
  /** Jobs the consumer has room for. */
  demand: number;
  cursor: number;
  /** Highest committed job id of the partition. */
  lastStored: number;
  pending: number;
  /** Bytes of the rows of unfinished jobs: each counts as the average one when it ends. */
  pendingBytes: number;
  /** By job id, ascending (insertion order). */
  outstanding: Map<number, OutstandingJob>;
  /** Outstanding jobs the present session has not been handed yet, ascending. */
  rehand: number[];
  tail: StoredRow[];
  tailBytes: number;
  behind: boolean;
  /** A read for this partition is under way; `spilled` tells whether rows committed meanwhile did not fit the tail. */
  reading: boolean;
  spilled: boolean;
  /** Commits of this partition's results that are queued or in flight: an open waits for them. */
  commitsInFlight: number;
  /** Commits that have arrived of the present session. */
  commitsArrived: number;
  opening: boolean;
  wokenAtMs: number;
  /** Epoch ms until which its consumer has nothing to do with what is unfinished; 0 while it is open. */
  restUntilMs: number;
  /** New jobs do not end the rest: the consumer has no room for them. */
  isFull: boolean;
}

export function createPartition(queue: QueueName, key: string, cursor: number): Partition {
  return {
    queue,
    key,
    session: 0,
    demand: 0,
    cursor,
    lastStored: cursor,
    pending: 0,
    pendingBytes: 0,
    outstanding: new Map(),
    rehand: [],
    tail: [],
    tailBytes: 0,
    behind: false,
    reading: false,
    spilled: false,
    commitsInFlight: 0,
    commitsArrived: 0,
    opening: false,
    wokenAtMs: 0,
    restUntilMs: 0,
    isFull: false,
  };
}

/** Forgets the in-memory rows; they are on disk. Returns the bytes set free. */
export function dropTail(partition: Partition): number {
  const freed = partition.tailBytes;
  partition.tail = [];
  partition.tailBytes = 0;
  return freed;
}

/** A job of the partition ended. */
export function endJob(partition: Partition): void {
  partition.pendingBytes -= partition.pendingBytes / partition.pending;
  partition.pending -= 1;
  // What was rounded away must not stay for ever.
  if (partition.pending === 0) partition.pendingBytes = 0;
}

/** Nothing is waiting, handed out or open: the state may be thrown away. */
export function isForgettable(partition: Partition): boolean {
  return partition.session === 0 && partition.pending === 0 && partition.commitsInFlight === 0 && !partition.reading;
}

/** Notes that a commit has arrived; false when it is not the next one of the present session. */
export function arrives(
  partition: Pick<Partition, 'session' | 'commitsArrived'>,
  session: number,
  sequence: number,
): boolean {
  if (partition.session !== session || sequence !== partition.commitsArrived + 1) return false;
  partition.commitsArrived = sequence;
  return true;
}

/** A job may be reported on only by the session it was handed to, and only while it is unfinished. */
export function mayReport(partition: Partition, session: number, jobId: number): boolean {
  return partition.session === session && partition.outstanding.has(jobId);
}
