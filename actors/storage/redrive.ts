// Tries aborted jobs again: each becomes a new job with the same event, request and idempotency key, at the end of the
// line of its user. The new job, the note that the old one was tried again, and the ledger's correction (one less
// aborted, one more pending) are one commit, so that nothing is counted or sent twice however often somebody asks.

import type { Commit, CommitReply, LedgerDelta } from './contract.ts';
import type { DeadLetter } from './dead-letters.ts';
import { JobRowWriter } from './job-row.ts';

const jobsPerCommit = 100;
const bytesPerCommit = 4 * 1024 * 1024;
const msPerMinute = 60_000;
const uniqueViolation = '23505';

export interface RedriveResult {
  retried: number[];
  /** Somebody else tried them again meanwhile. */
  alreadyRetried: number[];
  refused: { jobId: number; reason: string }[];
}

/** `commit`: to the storage actor of a lane that this process owns; its rejections are the caller's. */
export async function redrive(
  jobs: readonly DeadLetter[],
  commit: (lane: number, commit: Commit) => Promise<CommitReply>,
): Promise<RedriveResult> {
  const result: RedriveResult = { retried: [], alreadyRetried: [], refused: [] };
  for (const group of groupsOf(jobs)) await commitGroup(group, commit, result);
  return result;
}

async function commitGroup(
  group: readonly DeadLetter[],
  commit: (lane: number, commit: Commit) => Promise<CommitReply>,
  result: RedriveResult,
): Promise<void> {
  const [first] = group;
  if (first === undefined) return;
  const reply = await commit(first.lane, commitOf(group));
  if (reply.kind === 'committed') {
    result.retried.push(...group.map(({ jobId }) => jobId));
    return;
  }
  if (group.length > 1) {
    // One of them is the fault of all: each by itself.
    for (const job of group) await commitGroup([job], commit, result);
    return;
  }
  const isRetried = reply.kind === 'refused' && reply.sqlState === uniqueViolation;
  if (isRetried) result.alreadyRetried.push(first.jobId);
  else result.refused.push({ jobId: first.jobId, reason: reply.kind === 'refused' ? reply.reason : reply.kind });
}

function commitOf(group: readonly DeadLetter[]): Commit {
  const [first] = group;
  if (first === undefined) throw new Error('expected at least one job');
  const writer = new JobRowWriter();
  const ledger: LedgerDelta[] = [];
  for (const job of group) {
    writer.append({ ...job, jobId: 0 }, [job.payload]);
    ledger.push({ ...ledgerKeyOf(job), kind: 'aborted', count: -1 });
  }
  const { rows, count } = writer.take();
  const redriven = group.map(({ jobId }) => jobId);
  return { kind: 'commit', jobs: [{ queue: first.queue, rows, count }], results: [], ledger, redriven };
}

/** Where its abort was counted. */
function ledgerKeyOf({ queue, receivedAtMs, parameters }: DeadLetter): Omit<LedgerDelta, 'kind' | 'count'> {
  const read = readParameters(parameters);
  const text = (value: unknown): string => (typeof value === 'string' ? value : '');
  return {
    minute: Math.floor(receivedAtMs / msPerMinute),
    sourceId: text(read.source_id),
    destinationId: queue === 'gw' ? '' : text(read.destination_id),
  };
}

function readParameters(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

/** Of one lane and queue each, in the order in which they were first accepted: a user's order is kept among them. */
function* groupsOf(jobs: readonly DeadLetter[]): Generator<DeadLetter[]> {
  let group: DeadLetter[] = [];
  let bytes = 0;
  const sorted = [...jobs].sort((a, b) => a.lane - b.lane || a.queue.localeCompare(b.queue) || a.jobId - b.jobId);
  for (const job of sorted) {
    const [first] = group;
    const isOther = first !== undefined && (first.lane !== job.lane || first.queue !== job.queue);
    if (isOther || group.length >= jobsPerCommit || bytes >= bytesPerCommit) {
      yield group;
      group = [];
      bytes = 0;
    }
    group.push(job);
    bytes += job.payload.byteLength;
  }
  if (group.length > 0) yield group;
}
