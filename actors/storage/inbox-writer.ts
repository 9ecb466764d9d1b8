// Stores events for a lane that another process owns: each commit of the gateway becomes one row of an inbox, which is
// a table with this process as its only writer. The owner replays the rows into its lane, so that any process may answer
// 200. Group commit as in lane.ts: what arrives during one transaction forms the next.
//
// States: closed → open (first commit; the session holds the inbox's lock) → closed (`close`, a full table, a lost
// connection). An inbox is never opened again: the lock that was let go tells the owner that nothing more will come.
// Unlike a lane it does not try again: what could not be written is refused, and the client sends it again.

import { isUtf8 } from 'node:buffer';
import type { Replier } from '../../runtime/index.ts';
import { type Postgres, PostgresError, type PostgresSession } from '../../transport/index.ts';
import type { Commit, CommitReply, InboxCounts, LedgerDelta } from './contract.ts';
import { bufferOver, rowOffsets } from './job-row.ts';
import { newsSql } from './lease-session.ts';
import { inboxLockClass } from './ownership.ts';
import { encodeTuple, field } from './tuples.ts';

/** A table beyond this is left to the owner, who drops it when it is taken over. */
const tableBytesMax = 256 * 1024 * 1024;
/** Columns of a job row that Postgres takes as text (job-row.ts). */
const textFields: ReadonlySet<number> = new Set([2, 3, 4, 6]);

export interface InboxWriterOptions {
  lane: number;
  postgres: Postgres;
  /** Names this process: inboxes of one writer are taken over one after the other. */
  writer: string;
  groupBytesMax: number;
  nowMs(): number;
  /** Commits, as a lane counts them. */
  onCommitted(commits: number, rows: number, bytes: number): void;
  onTrouble(error: Error): void;
}

interface Waiting {
  commit: Commit;
  bytes: number;
  replier: Replier;
}

interface OpenInbox {
  session: PostgresSession;
  number: number;
  position: number;
  bytes: number;
}

export function inboxTable(number: number): string {
  return `sluice_inbox_${number}`;
}

export class InboxWriter {
  readonly #options: InboxWriterOptions;
  #queue: Waiting[] = [];
  #open: OpenInbox | undefined;
  #isWriting = false;
  #idle: (() => void)[] = [];
  /** The last attempt to write failed. */
  isInTrouble = false;

  constructor(options: InboxWriterOptions) {
    this.#options = options;
  }

  /** Only for commits of new `gw` jobs: results belong to the owner's sessions. */
  store(commit: Commit, replier: Replier): void {
    const fault = rowsFault(commit);
    if (fault !== undefined) {
      replier.reply({ kind: 'refused', reason: fault, sqlState: '22021' } satisfies CommitReply);
      return;
    }
    const bytes = commit.jobs.reduce((sum, { rows }) => sum + rows.byteLength, 0);
    this.#queue.push({ commit, bytes, replier });
    if (this.#isWriting) return;
    this.#isWriting = true;
    // Never rejects: every failure is told to those who wait.
    void this.#run();
  }

  /** Writes what waits and lets the inbox go: nothing more comes from it. */
  async close(): Promise<void> {
    if (this.#isWriting) await new Promise<void>((resolve) => this.#idle.push(resolve));
    await this.#leaveInbox();
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) {
      const group = this.#takeGroup();
      try {
        await this.#write(group);
        this.isInTrouble = false;
        for (const { replier } of group) replier.reply({ kind: 'committed' } satisfies CommitReply);
      } catch (error) {
        await this.#failed(group, error instanceof Error ? error : new Error(String(error)));
      }
    }
    this.#isWriting = false;
    for (const idle of this.#idle.splice(0)) idle();
  }

  #takeGroup(): Waiting[] {
    const now = this.#options.nowMs();
    let bytes = 0;
    let taken = 0;
    for (const one of this.#queue) {
      if (taken > 0 && bytes + one.bytes > this.#options.groupBytesMax) break;
      taken += 1;
      bytes += one.bytes;
    }
    const group = this.#queue.splice(0, taken);
    // Whoever was answered 503 by its deadline is not stored later.
    return group.filter(({ replier }) => {
      if (replier.deadlineMs > now) return true;
      replier.fail(new Error('expected to be written before the deadline of the ask'));
      return false;
    });
  }

  async #write(group: readonly Waiting[]): Promise<void> {
    if (group.length === 0) return;
    if ((this.#open?.bytes ?? 0) > tableBytesMax) await this.#leaveInbox();
    const inbox = await this.#inbox();
    const tuples: Buffer[] = [];
    let [bytes, rows] = [0, 0];
    for (const { commit, bytes: own } of group) {
      for (const jobs of commit.jobs) {
        inbox.position += 1;
        // What is counted goes with the first: together with it, it is one commit again.
        const counted = jobs === commit.jobs[0] ? countedOf(commit) : [];
        tuples.push(encodeEntry(inbox.position, jobs.rows, jobs.count, JSON.stringify(counted)));
        rows += jobs.count;
      }
      bytes += own;
    }
    const table = inboxTable(inbox.number);
    await inbox.session.copyIn(
      `begin; copy ${table} (position, rows, count, ledger) from stdin (format binary)`,
      tuples,
    );
    await inbox.session.query(`${newsSql({ kind: 'stored', lane: this.#options.lane })}; commit`);
    inbox.bytes += bytes;
    this.#options.onCommitted(group.length, rows, bytes);
  }

  async #failed(group: readonly Waiting[], error: Error): Promise<void> {
    this.isInTrouble = true;
    this.#options.onTrouble(error);
    // Whatever the session's transaction is worth: an inbox ends with its first failure.
    await this.#leaveInbox();
    for (const { replier } of group) replier.fail(error);
  }

  async #inbox(): Promise<OpenInbox> {
    if (this.#open !== undefined && this.#open.session.broken === undefined) return this.#open;
    await this.#leaveInbox();
    const session = await this.#options.postgres.session();
    try {
      await session.query('begin');
      const { rows } = await session.query<{ number: number }>(
        'insert into sluice_inboxes (lane, writer) values ($1, $2) returning number',
        [this.#options.lane, this.#options.writer],
      );
      const number = rows[0]?.number;
      if (number === undefined) throw new PostgresError('other', 'expected the number of a new inbox');
      // The lock before the commit: an inbox that is seen without its lock is one that has ended.
      await session.query(
        `create table ${inboxTable(number)} (
           position bigint primary key, rows bytea not null, count integer not null, ledger text not null
         );
         alter table ${inboxTable(number)} alter column rows set storage external;
         select pg_advisory_lock(${inboxLockClass}, ${number}); commit`,
      );
      this.#open = { session, number, position: 0, bytes: 0 };
      return this.#open;
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  async #leaveInbox(): Promise<void> {
    const inbox = this.#open;
    this.#open = undefined;
    if (inbox === undefined) return;
    const { session, number } = inbox;
    // Told to the server before the connection ends, so that the owner sees it in the same moment.
    const ended = `rollback; select pg_advisory_unlock(${inboxLockClass}, ${number})`;
    if (session.broken === undefined) await session.query(ended).catch(() => undefined);
    await session.close();
  }
}

/** Nearly no commit counts more than the ledger does: then its entries stand alone. */
function countedOf({ ledger, jobRuns }: Commit): LedgerDelta[] | InboxCounts {
  return jobRuns === undefined ? ledger : { ledger, jobRuns };
}

function encodeEntry(position: number, rows: Uint8Array, count: number, ledger: string): Buffer {
  const head = encodeTuple([field.int8(position)]);
  const tail = encodeTuple([field.int4(count), field.text(ledger)]);
  head.writeInt16BE(4, 0);
  const length = Buffer.allocUnsafe(4);
  length.writeInt32BE(rows.byteLength);
  return Buffer.concat([head, length, bufferOver(rows), tail.subarray(2)]);
}

/** What Postgres would refuse only when the rows are taken over, after they were acknowledged. */
function rowsFault({ jobs }: Commit): string | undefined {
  for (const { rows } of jobs) {
    const bytes = bufferOver(rows);
    for (const start of rowOffsets(rows).slice(0, -1))
      if (!isText(bytes, start)) return 'expected text to be UTF-8 without U+0000';
  }
  return undefined;
}

function isText(rows: Buffer, start: number): boolean {
  let at = start + 2;
  for (let index = 0; index < 7; index += 1) {
    const end = at + 4 + rows.readInt32BE(at);
    const value = rows.subarray(at + 4, end);
    if (textFields.has(index) && (value.includes(0) || !isUtf8(value))) return false;
    at = end;
  }
  return true;
}
