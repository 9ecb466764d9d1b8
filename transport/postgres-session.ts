// One connection to PostgreSQL and everything that may be done with it. Calls run one at a time in the order they
// were made, each under a watchdog: a server that never answers (a cut network, a stopped process) costs the session,
// never the caller.
//
// States: open -> broken (socket died, watchdog, fatal error) | closed (`close`). Both are final: open a new session.

import { Socket } from 'node:net';
import type pgPromise from 'pg-promise';
import { loadCopyStreams } from './heavy-modules.ts';
import { copyBlocks, stripCopyFrame } from './postgres-binary.ts';
import { endsSession, PostgresError, toPostgresError } from './postgres-error.ts';

export type PostgresClient = pgPromise.IConnected<unknown, PostgresDriverClient>['client'];
type PostgresDriverClient = NonNullable<Parameters<NonNullable<pgPromise.IInitOptions['connect']>>[0]['client']>;

export interface QueryResult<Row> {
  rows: Row[];
  /** Rows returned or affected by the (last) statement. */
  rowCount: number;
}

export interface CallOptions {
  /** Longest wait for the reply, in place of the session's own. The server's statement_timeout still holds. */
  timeoutMs?: number;
}

export interface QueryOptions extends CallOptions {
  /** Rows as arrays of values in column order; default: as objects. */
  asArrays?: boolean;
}

export interface PreparedStatement {
  /** Unique per text. The server parses it once per session. */
  name: string;
  text: string;
  /** Buffers go in binary form (bytea, or arrays made by postgres-binary.ts); everything else as text. */
  values: readonly unknown[];
}

export interface CopyOutOptions extends CallOptions {
  /** More than this is refused (the rest is read and dropped). Default 256 MiB. */
  bytesMax?: number;
}

const copyOutBytesMax = 256 * 1024 * 1024;
const closeTimeoutMs = 2_000;

export class PostgresSession {
  readonly #client: PostgresClient;
  readonly #watchdogMs: number;
  readonly #release: (broken: boolean) => void | Promise<void>;
  readonly #waiting: (() => void)[] = [];
  readonly #listeners: ((error: PostgresError) => void)[] = [];
  #busy = false;
  #closed = false;
  #broken: PostgresError | undefined;
  readonly #onError = (error: unknown): void => this.#break(toPostgresError(error, true));
  readonly #onEnd = (): void => this.#break(new PostgresError('connection', 'the connection to PostgreSQL was closed'));
  /** Rejects the call that is under way. */
  #abandon: ((error: PostgresError) => void) | undefined;

  /** `release` gives the connection back (to the pool) or ends it. */
  constructor(client: PostgresClient, watchdogMs: number, release: (broken: boolean) => void | Promise<void>) {
    this.#client = client;
    this.#watchdogMs = watchdogMs;
    this.#release = release;
    client.on('error', this.#onError);
    client.on('end', this.#onEnd);
  }

  /** Why this session can no longer be used; undefined while it can. */
  get broken(): PostgresError | undefined {
    return this.#broken;
  }

  /** Process id of the server process that serves this session. */
  get backendPid(): number {
    const pid: unknown = Reflect.get(this.#client, 'processID');
    return typeof pid === 'number' ? pid : 0;
  }

  /** Called once, when the session breaks; not when it is closed. At once if it is broken already. */
  onBroken(listener: (error: PostgresError) => void): void {
    if (this.#broken !== undefined) listener(this.#broken);
    else this.#listeners.push(listener);
  }

  /** For `LISTEN`: payloads of all channels, as they come. */
  onNotification(listener: (payload: string) => void): void {
    const heard = ({ payload }: { payload?: string | undefined }): void => listener(payload ?? '');
    this.#client.on('notification', heard);
  }

  /** One statement; several, separated by semicolons, when there are no values (then the last one's rows). */
  query<Row = Record<string, unknown>>(
    text: string,
    values: readonly unknown[] = [],
    options: QueryOptions = {},
  ): Promise<QueryResult<Row>> {
    const config = {
      text,
      values: values.length === 0 ? undefined : values,
      rowMode: options.asArrays ? 'array' : undefined,
    };
    return this.#call(options.timeoutMs, () => this.#send<Row>(config));
  }

  prepared<Row = Record<string, unknown>>(
    statement: PreparedStatement,
    options: QueryOptions = {},
  ): Promise<QueryResult<Row>> {
    const config = { ...statement, rowMode: options.asArrays ? 'array' : undefined };
    return this.#call(options.timeoutMs, () => this.#send<Row>(config));
  }

  /**
   * `sql` is `COPY … FROM STDIN (FORMAT binary)`, and may begin with other statements (`BEGIN; COPY …`) to save their
   * round trips. `chunks` are binary tuples, cut anywhere; header and trailer are added here. Answers the row count.
   */
  copyIn(sql: string, chunks: readonly Uint8Array[], options: CallOptions = {}): Promise<number> {
    return this.#call(options.timeoutMs, () => this.#copyIn(sql, chunks));
  }

  /** `sql` is `COPY … TO STDOUT (FORMAT binary)`. Answers the tuples alone. */
  copyOut(sql: string, options: CopyOutOptions = {}): Promise<Buffer> {
    return this.#call(options.timeoutMs, () => this.#copyOut(sql, options.bytesMax ?? copyOutBytesMax));
  }

  /**
   * Takes a lock that lives as long as the session. False when another session still holds it after `waitMs`.
   * Not inside a transaction: a lock that is not free in time would abort it.
   */
  async lock(key: number, waitMs = 0): Promise<boolean> {
    if (waitMs === 0) {
      const { rows } = await this.query<{ locked: boolean }>('SELECT pg_try_advisory_lock($1) AS locked', [key]);
      return rows[0]?.locked === true;
    }
    // One message is one transaction: the timeouts are set for it alone, the lock outlives it.
    const wait = Math.ceil(waitMs);
    const timeouts = `SET LOCAL lock_timeout = ${wait}; SET LOCAL statement_timeout = 0`;
    const text = `BEGIN; ${timeouts}; SELECT pg_advisory_lock(${Math.trunc(key)}); COMMIT`;
    try {
      await this.query(text, [], { timeoutMs: wait + this.#watchdogMs });
      return true;
    } catch (error) {
      if (this.#broken === undefined) await this.query('ROLLBACK');
      if (error instanceof PostgresError && error.sqlState === '55P03') return false;
      throw error;
    }
  }

  async unlock(key: number): Promise<void> {
    await this.query('SELECT pg_advisory_unlock($1)', [key]);
  }

  /** Ends the session after the calls made so far. A session of the pool goes back to the pool. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#busy) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    // A server that does not say good-bye sees the socket close, which ends the session as well.
    let gaveUp: NodeJS.Timeout | undefined;
    const cut = new Promise<void>((resolve) => {
      gaveUp = setTimeout(() => {
        this.#socket()?.destroy();
        resolve();
      }, closeTimeoutMs);
    });
    try {
      await Promise.race([this.#release(this.#broken !== undefined), cut]);
    } finally {
      clearTimeout(gaveUp);
    }
  }

  /** For a connection that lives on in the pool; its pool watches it from now on. */
  detach(): void {
    this.#client.removeListener('error', this.#onError);
    this.#client.removeListener('end', this.#onEnd);
  }

  /** Cuts the connection now. Calls under way and waiting are rejected as retryable. */
  destroy(reason: PostgresError): void {
    this.#break(reason);
    this.#socket()?.destroy();
  }

  #call<Value>(timeoutMs: number | undefined, start: () => Promise<Value>): Promise<Value> {
    if (this.#closed) return Promise.reject(new PostgresError('connection', 'the session was closed'));
    const limitMs = timeoutMs ?? this.#watchdogMs;
    return new Promise((resolve, reject) => {
      const begin = (): void => {
        if (this.#broken !== undefined) {
          reject(this.#broken);
          this.#next();
          return;
        }
        this.#busy = true;
        const watchdog = setTimeout(() => {
          this.destroy(
            new PostgresError('timeout', `expected an answer from PostgreSQL within ${limitMs} ms, got none`),
          );
        }, limitMs);
        this.#abandon = reject;
        const settled = (): void => {
          clearTimeout(watchdog);
          this.#abandon = undefined;
          this.#next();
        };
        start().then(
          (value) => {
            resolve(value);
            settled();
          },
          (error: unknown) => {
            const typed = toPostgresError(error, this.#socket()?.destroyed !== false);
            if (endsSession(error)) this.#break(typed);
            reject(typed);
            settled();
          },
        );
      };
      if (this.#busy) this.#waiting.push(begin);
      else begin();
    });
  }

  #next(): void {
    this.#busy = false;
    this.#waiting.shift()?.();
  }

  #break(error: PostgresError): void {
    if (this.#broken !== undefined) return;
    this.#broken = error;
    this.#abandon?.(error);
    if (this.#closed) return;
    for (const listener of this.#listeners.splice(0)) listener(error);
  }

  #socket(): Socket | undefined {
    const stream: unknown = this.#client.connection.stream;
    return stream instanceof Socket ? stream : undefined;
  }

  async #send<Row>(config: object): Promise<QueryResult<Row>> {
    const answer: unknown = await this.#client.query<Row>(config);
    const result = (Array.isArray(answer) ? answer.at(-1) : answer) as { rows: Row[]; rowCount: number | null };
    return { rows: result.rows, rowCount: result.rowCount ?? 0 };
  }

  #copyIn(sql: string, chunks: readonly Uint8Array[]): Promise<number> {
    return new Promise((resolve, reject) => {
      const stream = loadCopyStreams().from(sql);
      stream.once('finish', () => resolve(stream.rowCount));
      // Destroyed at once, so that nothing of it is written into whatever this session does next.
      stream.on('error', (error: unknown) => {
        stream.destroy();
        reject(error);
      });
      this.#submit(stream);
      for (const block of copyBlocks(chunks)) stream.write(block);
      stream.end();
    });
  }

  #copyOut(sql: string, bytesMax: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const stream = loadCopyStreams().to(sql);
      const pieces: Buffer[] = [];
      let bytes = 0;
      stream.on('data', (piece: Buffer) => {
        bytes += piece.byteLength;
        if (bytes <= bytesMax) pieces.push(piece);
        else pieces.length = 0;
      });
      stream.once('error', reject);
      stream.once('end', () => {
        if (bytes <= bytesMax) resolve(stripCopyFrame(Buffer.concat(pieces, bytes)));
        else reject(new PostgresError('other', `expected at most ${bytesMax} bytes from COPY, got ${bytes}`));
      });
      this.#submit(stream);
    });
  }

  /** The driver's types know results only, but it takes anything that can submit itself. */
  #submit(stream: object): void {
    void this.#client.query(stream);
  }
}
