// The command job: an event's whole life, from the gateway to every destination, with all attempts. It works beside a
// running program and without one, and changes nothing.

import { exitCodes } from './cli.ts';
import type { CommandDatabase } from './command-database.ts';
import type { RouterParameters } from './job.ts';
import { StartError } from './start-error.ts';
import type { JobAttempt, JobFound } from './storage/contract.ts';
import { findLife } from './storage/job-lookup.ts';
import { migrationStates } from './storage/migrate.ts';

/** Of a destination's answer, on one line. */
const answerCharsMax = 160;

export async function runJobCommand(
  { messageId, json }: { messageId: string; json: boolean },
  { postgres, description }: CommandDatabase,
  nowMs: number,
): Promise<{ exitCode: number; out: string }> {
  const jobs = await postgres.withSession(async (session) => {
    const missing = (await migrationStates(session)).find(({ appliedAtMs }) => appliedAtMs === undefined);
    if (missing !== undefined) {
      throw new StartError(
        `The database is older than this program: step ${missing.version} (${missing.name}) is missing.`,
        'Start Sluice once, or run `sluice migrate`.',
      );
    }
    return await findLife(session, messageId);
  });
  const exitCode = jobs.length === 0 ? exitCodes.found : exitCodes.ok;
  if (json) return { exitCode, out: `${JSON.stringify({ messageId, jobs }, undefined, 2)}\n` };
  if (jobs.length === 0) return { exitCode, out: notFound(messageId, description) };
  return { exitCode, out: `\n${describeLife(jobs, nowMs).join('\n')}\n\n` };
}

function notFound(messageId: string, description: string): string {
  return `
No job of message ${JSON.stringify(messageId)} is kept (${description}).
It never arrived, or it ended and its dataset was dropped (storage.retentionMs).

`;
}

/** One block per event, its jobs for destinations below it. Exported for its test. */
export function describeLife(jobs: readonly JobFound[], nowMs: number): string[] {
  const ids = new Set(jobs.map(({ jobId }) => jobId));
  const roots = jobs.filter(({ parentId }) => !ids.has(parentId));
  return roots.flatMap((root, index) => [
    ...(index === 0 ? [] : ['']),
    ...describeJob(root, '', nowMs),
    ...jobs.filter(({ parentId }) => parentId === root.jobId).flatMap((job) => describeJob(job, '  ', nowMs)),
  ]);
}

function describeJob(job: JobFound, indent: string, nowMs: number): string[] {
  const { queue, jobId, messageId, partition, receivedAtMs } = job;
  const title =
    queue === 'gw'
      ? `Event ${messageId}, received ${momentOf(receivedAtMs)} (job ${jobId}, source ${partition})`
      : `to ${destinationOf(job)} (job ${jobId}, ${queue})`;
  const attempts = job.attempts.map((attempt) => `${indent}    ${describeAttempt(attempt)}`);
  return [`${indent}${title}`, `${indent}  ${describeState(job, nowMs)}`, ...(isPlain(job) ? [] : attempts)];
}

/** A success at the first attempt with nothing to tell: the state says it all. */
function isPlain({ state, attempts }: JobFound): boolean {
  return state === 'succeeded' && attempts.length === 1 && attempts[0]?.response === '';
}

const stateTexts: Readonly<Record<JobFound['state'], string>> = {
  pending: 'waits for its turn',
  succeeded: 'done',
  aborted: 'ABORTED: it will not be tried again',
  filtered: 'filtered: it was not to be sent',
  failed: 'failed',
  waiting: 'waits for another event of its user',
};

function describeState({ queue, state, attempts, isHandedOut, receivedAtMs }: JobFound, nowMs: number): string {
  const last = attempts.at(-1);
  if (isHandedOut) return 'is being worked on';
  if (state === 'succeeded' && last !== undefined) {
    const what = queue === 'gw' ? 'processed' : 'delivered';
    return `${what} ${momentOf(last.atMs)}, ${durationOf(last.atMs - receivedAtMs)} after it was received`;
  }
  if (state === 'failed' && last !== undefined) {
    const isDue = last.retryAtMs <= nowMs;
    const next = isDue ? 'the next attempt is due' : `the next attempt comes in ${durationOf(last.retryAtMs - nowMs)}`;
    return `failed ${attempts.filter((one) => one.state === 'failed').length} times; ${next}`;
  }
  if (state === 'pending') return `${stateTexts.pending} for ${durationOf(nowMs - receivedAtMs)}`;
  return stateTexts[state];
}

function describeAttempt({ state, attempt, code, atMs, response }: JobAttempt): string {
  const answer = response.replaceAll(/\s+/g, ' ').trim();
  const cut = answer.length > answerCharsMax ? `${answer.slice(0, answerCharsMax)}…` : answer;
  return [`${momentOf(atMs)}  attempt ${attempt}  ${state}`, code === 0 ? '' : String(code), cut]
    .filter((part) => part !== '')
    .join('  ');
}

function destinationOf({ parameters, partition }: JobFound): string {
  try {
    const { destination_id: id, request }: Partial<RouterParameters> = JSON.parse(parameters);
    return [`destination ${id ?? partition}`, request?.endpoint].filter((part) => part !== undefined).join(' at ');
  } catch {
    return `destination ${partition}`;
  }
}

function momentOf(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ').replace('Z', '');
}

function durationOf(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 120_000) return `${(ms / 1_000).toFixed(1)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  return `${Math.round(ms / 3_600_000)} h`;
}
