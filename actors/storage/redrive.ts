// Tries aborted jobs again: each becomes a new job with the same event, request and idempotency key, at the end of the
// line of its user. What the processor gave up for one destination becomes a job for the processor and this destination
// alone. The new job, the note that the old one was tried again, and the correction of what was counted (one less
// aborted, one more pending) are one commit, so that nothing is counted or sent twice however often somebody asks.

import type { ErrorParameters, GatewayParameters, QueueName } from '../job.ts';
import type { Commit, CommitReply } from './contract.ts';
import type { DeadLetter } from './dead-letters.ts';
import { JobRowWriter } from './job-row.ts';
import { jobRunOf, LedgerTally } from './ledger-tally.ts';

const jobsPerCommit = 100;
const bytesPerCommit = 4 * 1024 * 1024;
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
  const tally = new LedgerTally();
  for (const job of group) {
    const { payload, ...row } = job;
    const again = first.queue === 'gw' || first.queue === 'err' ? gatewayJob(job) : {};
    writer.append({ ...row, ...again, jobId: 0 }, [payload]);
    correct(tally, job);
  }
  const queue: QueueName = first.queue === 'err' ? 'gw' : first.queue;
  return {
    kind: 'commit',
    jobs: [{ queue, ...writer.take() }],
    results: [],
    ledger: tally.take(),
    ...tally.takeJobRuns(),
    redriven: group.map(({ jobId }) => jobId),
  };
}

/** What the processor gave up goes to it again. */
function gatewayJob({ queue, jobId, parentId, parameters }: DeadLetter): { parentId: number; parameters: string } {
  if (queue === 'err')
    return { parentId: 0, parameters: JSON.stringify(read<ErrorParameters>(parameters)?.again ?? {}) };
  const own = read<GatewayParameters>(parameters);
  const retry = { ...own?.retry, of: own?.retry?.of ?? jobId };
  // Parameters that cannot be read are what it was given up for: they stay as they are.
  return { parentId, parameters: own === undefined ? parameters : JSON.stringify({ ...own, retry }) };
}

/** Takes back what its end was counted as: it will end anew. */
function correct(tally: LedgerTally, { queue, receivedAtMs, parameters }: DeadLetter): void {
  const own = read<ErrorParameters & { source_job_run_id?: string }>(parameters);
  const sourceId = textOf(own?.source_id);
  const destinationId = queue === 'gw' ? '' : textOf(own?.destination_id);
  const run = jobRunOf(queue === 'err' ? own?.again : own);
  tally.takeBack(receivedAtMs, sourceId, destinationId, 'aborted', run);
  if (queue !== 'err') return;
  // Its event counted as processed, and is to be processed once more.
  tally.takeBack(receivedAtMs, sourceId, destinationId, 'routed', run);
  tally.takeBack(receivedAtMs, sourceId, '', 'processed', run);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** Parameters are ours, but a job may be here because of them: every field may be missing. */
function read<Parameters>(text: string): Partial<Parameters> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
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
