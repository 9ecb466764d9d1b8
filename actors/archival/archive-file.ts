// What is written to an archive and under which name. Pure.
//
// The name of an object follows from the first job in it. Jobs are handed out in order and committed with their object, so
// after a crash the same job is the first again: the object that was perhaps written is replaced, and no event is ever
// there twice under two names.

import type { HandedJob } from '../storage/partition-session.ts';

export interface ArchiveFile {
  key: string;
  jobs: HandedJob[];
}

const msPerHour = 3_600_000;
const lineFeed = 10;
const carriageReturn = 13;
const space = 32;

/** One object for each hour of receipt, in the order of their first jobs. `jobs` ascend. */
export function archiveFiles(sourceId: string, jobs: readonly HandedJob[]): ArchiveFile[] {
  const byHour = new Map<number, ArchiveFile>();
  for (const handed of jobs) {
    const hour = Math.floor(handed.job.receivedAtMs / msPerHour);
    let file = byHour.get(hour);
    if (file === undefined) {
      file = { key: archiveKey(sourceId, handed.job), jobs: [] };
      byHour.set(hour, file);
    }
    file.jobs.push(handed);
  }
  return [...byHour.values()];
}

/** As in the field: `<source>/gw/<day>/<hour>/…`. The time keeps names apart when ids begin anew with a new database. */
function archiveKey(sourceId: string, { receivedAtMs, jobId }: HandedJob['job']): string {
  const at = new Date(receivedAtMs).toISOString();
  const hour = Number(at.slice(11, 13));
  return `${keyPart(sourceId)}/gw/${at.slice(0, 10)}/${hour}/${receivedAtMs}_${jobId}.json.gz`;
}

/** Ids come from configurations: no slash or dot of theirs may mean a folder. */
function keyPart(id: string): string {
  return encodeURIComponent(id).replaceAll('.', '%2E');
}

/** One event to a line: `{userId, payload, createdAt, messageId}`. The payload is the event's own bytes. */
export function archiveLines(jobs: readonly HandedJob[]): Buffer {
  const pieces: Uint8Array[] = [];
  for (const { job } of jobs) {
    const { userId, messageId, receivedAtMs, payload } = job;
    const createdAt = new Date(receivedAtMs).toISOString();
    pieces.push(
      Buffer.from(`{"userId":${JSON.stringify(userId)},"payload":`),
      onOneLine(payload),
      Buffer.from(`,"createdAt":"${createdAt}","messageId":${JSON.stringify(messageId)}}\n`),
    );
  }
  return Buffer.concat(pieces);
}

/** Line breaks of JSON stand between its tokens only, so a space means the same. */
function onOneLine(payload: Uint8Array): Uint8Array {
  if (!payload.includes(lineFeed) && !payload.includes(carriageReturn)) return payload;
  return payload.map((byte) => (byte === lineFeed || byte === carriageReturn ? space : byte));
}
