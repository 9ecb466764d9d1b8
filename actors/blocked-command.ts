// The command blocked: lists users whose events wait behind one that failed, and frees one. It works on the database, so
// beside a running program, which follows within seconds, and without one.

import { releaseReason } from './blocked-routes.ts';
import { type BlockedParameters, exitCodes } from './cli.ts';
import type { CommandDatabase } from './command-database.ts';
import { addDrain } from './controls/controls-store.ts';
import { findBlockedUsers } from './storage/blocked-jobs.ts';

const listedMax = 1_000;
const answerCharactersMax = 100;

export async function runBlockedCommand(
  { json, destination, release }: BlockedParameters,
  { postgres }: Pick<CommandDatabase, 'postgres'>,
  nowMs: number,
): Promise<{ exitCode: number; out: string }> {
  if (release !== undefined) {
    const rule = { destinationId: destination, sourceId: '', jobRunId: '', receivedBeforeMs: 0, jobId: release };
    await addDrain(postgres, { ...rule, reason: releaseReason });
    return { exitCode: exitCodes.ok, out: `Job ${release} is given up; a running program follows within seconds.\n` };
  }
  const found = await postgres.withSession((session) => findBlockedUsers(session, destination, listedMax));
  if (json) return { exitCode: exitCodes.ok, out: `${JSON.stringify({ blockedUsers: found }, undefined, 2)}\n` };
  if (found.length === 0) return { exitCode: exitCodes.ok, out: 'Nobody waits behind an event that failed.\n' };
  const lines = found.map(({ jobId, destinationId, userId, attempts, code, response, retryAtMs, behind }) => {
    const seconds = Math.max(0, Math.round((retryAtMs - nowMs) / 1000));
    const users = userId.split('<<>>').filter((part) => part !== '');
    const who = [...new Set(users)].join(' / ');
    return [
      `job ${jobId}  ${destinationId}  user ${who}: ${behind} more wait`,
      `    attempt ${attempts} ended with ${code}, the next one comes in ${seconds} s: ${answerOf(response)}`,
    ].join('\n');
  });
  return { exitCode: exitCodes.ok, out: `${lines.join('\n')}\n` };
}

function answerOf(response: string): string {
  try {
    const { response: text } = JSON.parse(response);
    return String(text).replaceAll(/\s+/g, ' ').slice(0, answerCharactersMax);
  } catch {
    return '';
  }
}
