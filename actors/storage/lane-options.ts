// What a lane's writer (lane.ts) is given and what it tells: every submission has exactly one outcome.

import type { PostgresError, PostgresSession } from '../../transport/index.ts';
import type { QueueName } from '../job.ts';
import type { Commit } from './contract.ts';
import type { DatasetList } from './dataset-list.ts';
import type { DatasetLimits } from './dataset-rolls.ts';
import type { GroupWrite, ImportPosition } from './group.ts';
import type { FormerOwnership, LaneOwnership } from './ownership.ts';

/** One sender's commit on its way into a group. */
export interface Submission<Tag> {
  commit: Commit;
  /** Where the rows of `commit.jobs` start, by entry (job-row.ts `rowOffsets`): checked before it was submitted. */
  offsets: readonly (readonly number[])[];
  rows: number;
  bytes: number;
  /** Epoch ms from which on nobody waits for the outcome. */
  deadlineMs: number;
  /** For what comes from an inbox. */
  imported?: ImportPosition;
  /** The caller's own record of it; comes back with the outcome. */
  tag: Tag;
}

export interface LaneOptions<Tag> extends DatasetLimits {
  /** A new connection that owns the lane as `before` did (ownership.ts): called after the old one broke. */
  connect(before: FormerOwnership): Promise<{ session: PostgresSession; ownership: LaneOwnership }>;
  datasets: ReadonlyMap<QueueName, DatasetList>;
  ledgerNumber(): number;
  dedupTable(): string;
  /** In the same turn: the watermark has moved, rows may be handed out, senders answered. */
  onCommitted(group: GroupWrite, submissions: readonly Submission<Tag>[]): void;
  /** Postgres refused this very submission's data; nothing of it was kept. */
  onRefused(submission: Submission<Tag>, error: PostgresError): void;
  /** Sent before its session knew of a refusal (refusal-order.ts); nothing of it was kept. */
  onBehind(submission: Submission<Tag>): void;
  /** Nobody waits for this submission any more, and nothing of it was written or will be. */
  onExpired(submission: Submission<Tag>): void;
  /** The lane was given up or lost; whether this submission was written is not known. */
  onDropped(submission: Submission<Tag>, error: Error): void;
  /** Another process has the lane: it cannot be written any more. */
  onFenced(error: Error): void;
  /** Postgres is away or in trouble; the lane goes on trying. */
  onTrouble(error: Error): void;
  nowMs(): number;
  delay(ms: number): Promise<void>;
  groupRowsMax: number;
  groupBytesMax: number;
  copyRowsMin: number;
}
