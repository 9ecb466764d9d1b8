// What the storage actor understands and what it sends to the consumers of its queues (processor, router, batch
// router). Everything a stage consumes and produces travels in one `commit`, so it is committed in one transaction.
//
// Life of a partition, seen by its consumer actor (kind by `consumerKinds`, key = partition):
//   storage --jobsReady--> actor            first job for a partition nobody has open (also wakes a lost actor)
//   actor   --openPartition--> storage      from onStart; a new session; unfinished jobs of older sessions come again
//   actor   --pullJobs(slots)--> storage    demand; adds up
//   storage --jobs--> actor                 at most as many jobs as there are slots, in job-id order
//   actor   --commit--> storage             ask; the reply comes after COMMIT
//   actor   --closePartition--> storage     from onStop; what was handed out and is unfinished is pending again
// Durability is in Postgres only: every one of these messages may be lost and costs a re-read, never a job.

import type { JobState, QueueName, TerminalState } from '../job.ts';
import type { Observation } from '../observations/contract.ts';
import type { JobRunReport, LedgerDelta, LedgerKind } from './counts.ts';

export type { FailedRecord, JobRunDelta, JobRunPlace, JobRunReport, LedgerDelta, LedgerKind } from './counts.ts';

/** The key is the number of the lane (lanes.ts). */
export const storageKind = 'storage';

export interface StoredJobs {
  queue: QueueName;
  /** Concatenated job rows (job-row.ts) with job id 0: the storage actor assigns ids in the order of arrival. */
  rows: Uint8Array;
  count: number;
  /** Of jobs that are stored to be kept and handed to nobody: how each has ended, in the order of the rows. */
  ended?: EndedStatus[];
}

/** The last status of a job that ended as it was stored. */
export type EndedStatus = Pick<JobStatus, 'code' | 'response' | 'execTimeMs'> & { state: TerminalState };

/**
 * Jobs of one partition that all succeeded, compactly: `jobIds` ascending. `afterId` claims that the partition holds
 * no other unfinished job with an id in (afterId, jobIds[0]), and that the ids listed are *all* of the partition's
 * jobs between the first and the last. Runs are made by done-runs.ts from the order in which jobs were handed out.
 */
export interface DoneRun {
  afterId: number;
  jobIds: number[];
}

/** One explicit status (spec/ingest.md 3.3): anything but plain success, or a success worth telling about. */
export interface JobStatus {
  jobId: number;
  state: JobState;
  /** 1 for the first attempt. Not increased by `waiting`. */
  attempt: number;
  /** HTTP status or internal code (spec/delivery.md 1.9); 0 when there was none. */
  code: number;
  /** JSON text, at most 10 KB of the destination's answer inside; never an event body or secret. */
  response: string;
  execTimeMs: number;
  /** When a `failed` job may be tried again; 0 otherwise. */
  retryTimeMs: number;
  firstAttemptedAtMs: number;
}

export interface PartitionResults {
  queue: QueueName;
  partition: string;
  /** Session of the sender's openPartition; results of an older session are refused as `stale`. */
  session: number;
  runs: DoneRun[];
  statuses: JobStatus[];
  /**
   * How many commits of the session its sender knows to have been refused. A sender that has more than one commit under
   * way tells it, so that none is written after one was refused that stands before it.
   */
  refusalsSeen?: number;
  /**
   * The how manieth commit of the session this is, from 1 on. One that does not follow on the last is answered `stale`:
   * what is missing was lost on its way and is worked on again, so nothing that was made after it may be stored first.
   */
  sequence?: number;
  /** Message ids that were processed and are remembered from this commit on. */
  seen?: SeenIds[];
}

/** Message ids as hashes (processor/dedup.ts). */
export interface SeenIds {
  /** For how long they are remembered, in the time in which events are received. */
  windowMs: number;
  /** Epoch ms of the receipt of the newest of them. */
  seenMs: number;
  /** Eight bytes each. */
  hashes: Uint8Array;
}

/** What a commit counts when it waits in the inbox of another process's lane. */
export type InboxCounts = Pick<Commit, 'ledger' | 'jobRuns'>;

/** ask → CommitReply. Atomic; merged with other senders' commits in one group. */
export interface Commit {
  kind: 'commit';
  jobs: StoredJobs[];
  results: PartitionResults[];
  ledger: LedgerDelta[];
  /**
   * Aborted jobs that are tried again as jobs of this commit. Each only once: the second time the whole commit is
   * refused (SQLSTATE 23505). Only the owner of the lane takes such a commit.
   */
  redriven?: number[];
  /** Absent when no event of it belongs to a job run. */
  jobRuns?: JobRunReport;
  observations?: Observation[];
}

export type CommitReply =
  | { kind: 'committed' }
  /** The partition was opened by a newer session: forget everything and open again. */
  | { kind: 'stale' }
  /** Postgres refused the data itself (SQLSTATE class 22/23 …); nothing of this commit was kept. */
  | { kind: 'refused'; reason: string; sqlState: string }
  /** Not tried, because a commit that the session sent before was refused: send it again after that one's pieces. */
  | { kind: 'behind' };

export interface OpenPartition {
  kind: 'openPartition';
  queue: QueueName;
  partition: string;
  /** Random, chosen by the actor's incarnation. */
  session: number;
}

export interface PullJobs {
  kind: 'pullJobs';
  queue: QueueName;
  partition: string;
  session: number;
  /** More jobs the sender has room for; added to what it asked for before. */
  slots: number;
}

export interface ClosePartition {
  kind: 'closePartition';
  queue: QueueName;
  partition: string;
  session: number;
  /** Epoch ms before which no unfinished job may be tried: until then only new jobs wake the partition. 0: now. */
  restUntilMs: number;
  /** Not even they: the sender had no room for more jobs. */
  isFull: boolean;
}

/** ask → SeenFound: what was seen of a partition that an event received at `receivedAtMs` may be a duplicate of. */
export interface ReadSeen {
  kind: 'readSeen';
  partition: string;
  receivedAtMs: number;
  /** 0, then `next` of the page before. */
  afterGroupId: number;
}

/** `next` undefined: this was the last page. */
export type SeenFound =
  | { kind: 'seenFound'; seen: SeenIds[]; next: number | undefined }
  | { kind: 'seenUnread'; reason: string };

/** ask → StorageStats. */
export interface GetStorageStats {
  kind: 'getStats';
}

/** Tell, by the runtime owner after a thread was lost: every partition with work is woken again. */
export interface WakeAll {
  kind: 'wakeAll';
}

/** ask → `{ kind: 'maintained' }`: one round of maintenance and of the ledger's check now, due or not. */
export interface Maintain {
  kind: 'maintain';
}

export type WantedJobs = { messageId: string } | { jobId: number } | { parentId: number };

/** ask → JobsFound. Of this lane only. */
export interface LookUpJobs {
  kind: 'lookUpJobs';
  wanted: WantedJobs;
}

export type FoundState = JobState | 'pending';

/** A status of a job, as it was written. */
export interface JobAttempt {
  state: JobState;
  attempt: number;
  code: number;
  atMs: number;
  /** When it is tried again; 0: not, or at once. */
  retryAtMs: number;
  response: string;
}

export interface JobFound {
  queue: QueueName;
  lane: number;
  jobId: number;
  parentId: number;
  partition: string;
  userId: string;
  messageId: string;
  receivedAtMs: number;
  parameters: string;
  /** Its last status; pending: none yet. */
  state: FoundState;
  /** Somebody is working on it right now. */
  isHandedOut: boolean;
  /** Oldest first. */
  attempts: JobAttempt[];
}

export type JobsFound = { kind: 'jobsFound'; jobs: JobFound[] } | { kind: 'lookUpFailed'; reason: string };

/** From the lease actor (lease-actor.ts). */
export interface LeaseCommand {
  /**
   * - takeLane: become its owner, if nobody else is.
   * - standBy: somebody else is: store what comes for it.
   * - giveLane: finish what is in hand and let another process have it.
   * - takeInboxes: others have stored something for it.
   * - reportLane: only tell how it stands.
   */
  kind: 'takeLane' | 'standBy' | 'giveLane' | 'takeInboxes' | 'reportLane';
}

/** ask → StoragePressure. */
export interface GetPressure {
  kind: 'getPressure';
}

export interface StoragePressure {
  /** Bytes of pending jobs; queues without any are left out. */
  queues: { queue: QueueName; bytes: number }[];
  /** Those with most bytes, and all at or above `storage.workspaceBytesMax`; most first. */
  workspaces: { workspaceId: string; bytes: number }[];
  /** Commits fail now because the server's disk is full. */
  diskFull: boolean;
  /** The lane is ours and has lost its connection; it is looking for a new one. */
  isAway: boolean;
}

export type StorageMessage =
  | Commit
  | LeaseCommand
  | Maintain
  | LookUpJobs
  | ReadSeen
  | OpenPartition
  | PullJobs
  | ClosePartition
  | GetStorageStats
  | WakeAll
  | GetPressure;

export const leaseKind = 'lease';
/** There is one per process. */
export const leaseKey = 'main';

/**
 * How a process stands to a lane: not known yet; it stores for the owner; it takes the lane over; it owns it; it gives
 * it up.
 */
export type LaneState = 'undecided' | 'standby' | 'taking' | 'owner' | 'giving';

/** From a storage actor to the lease actor, after every change. */
export interface LaneReport {
  kind: 'laneReport';
  lane: number;
  state: LaneState;
  /** Of the owner; 0 of anybody else. */
  epoch: number;
}

/** ask → LeaseStats; also makes sure that the lease actor is there. */
export interface GetLease {
  kind: 'getLease';
}

export interface LeaseStats {
  /** Processes that share the lanes; 0 as long as nobody has looked. */
  members: number;
  /** Lanes that nobody has owned for a while. */
  unowned: number;
  lanes: { lane: number; state: LaneState; epoch: number }[];
}

export type LeaseMessage = LaneReport | GetLease;

/** From storage to a consumer: there is work, open your partition. */
export interface JobsReady {
  kind: 'jobsReady';
}

/** From storage to a consumer with an open session. */
export interface HandedJobs {
  kind: 'jobs';
  session: number;
  /** Concatenated job rows with their ids, ascending. */
  rows: Uint8Array;
  count: number;
  /**
   * Id of the job handed out just before these in partition order, or -1: then these are jobs of an older session
   * that come again, and nothing may be concluded about the ids between them.
   */
  afterId: number;
  /** Last explicit status of jobs that come again, with an empty response; none for fresh jobs. */
  statuses: JobStatus[];
  /** Of `gw`: the last session that added to what the partition has seen; absent: none; -1: one of another time. */
  seenMark?: number;
}

/**
 * From storage to a consumer with an open session: the lane leaves this process. `isLost` false: finish what is under
 * way, commit it and close the partition. True: somebody else has it already, nothing can be committed any more.
 */
export interface LeavePartition {
  kind: 'leavePartition';
  session: number;
  isLost: boolean;
}

export type ConsumerMessage = JobsReady | HandedJobs | LeavePartition;

export interface QueueStats {
  queue: QueueName;
  pending: number;
  /** Bytes of their rows (pressure.ts). */
  pendingBytes: number;
  /** Age of the oldest unfinished job; 0 when none. */
  oldestAgeMs: number;
  /** Those with most pending jobs first, at most 200. */
  partitions: { partition: string; pending: number; handedOut: number; behind: boolean; open: boolean }[];
  partitionsTotal: number;
}

/** The lane's work in the background: seals, moves, drops, indexes. It never stands in the way of intake. */
export interface MaintenanceStats {
  /** failing: the last round did not end well; it is tried again ever more seldom. */
  state: 'waiting' | 'working' | 'failing';
  /** Rounds that failed since the start. */
  failures: number;
  /** Why the last round failed; '' when it did not. */
  failure: string;
  /** 0 before the first round. */
  lastRoundAtMs: number;
}

export interface StorageStats {
  maintenance: MaintenanceStats;
  queues: QueueStats[];
  /** Sums over all minutes since the beginning. */
  ledger: { sourceId: string; destinationId: string; kind: LedgerKind; count: number }[];
  /** What does not balance (ledger-check.ts); '' when everything does. */
  ledgerAlarm: string;
  /** Commits, rows and bytes since start; last commit latency percentiles in ms. */
  commits: { groups: number; submissions: number; rows: number; bytes: number; p50Ms: number; p99Ms: number };
  postgres: { version: string; fsync: string; synchronousCommit: string; connected: boolean };
}
