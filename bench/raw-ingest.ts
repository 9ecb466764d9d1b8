// The raw limit of durable ingest on this machine: the bare minimum between a socket and a commit, with the same
// engine, threads and settings as the product but none of its logic. uWebSockets.js takes the bytes, a worker thread
// writes everything that arrived during the last commit in one COPY, and then the requests are answered.
//
// For the whole way it also posts what is committed and commits that it did: still without order, retries or partitions.
// It cuts batches by the known size of an event and looks at no content: whatever the product does beyond that is what
// the ratio between the two shows.

import { Worker } from 'node:worker_threads';
import { Pool } from 'undici';
import { JobRowWriter } from '../actors/storage/job-row.ts';
import { CleanupList, temporaryFolder } from '../test/support/cleanup.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres, workerEntry } from '../transport/index.ts';
import { loadUws } from '../transport/uws-module.ts';
import { batchPrefix } from './event-template.ts';
import type { RawFrame, RawReply } from './raw-storage.ts';

export interface RawStart {
  eventBytes: number;
  /** Origin that every event is posted to once it is committed; that it was becomes a row of its own. */
  deliverTo?: string;
}

export interface RawReady {
  port: number;
}

const deliveryHeaders = { 'content-type': 'application/json' };
const deliveryConnections = 64;
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

class RawIngest {
  readonly #worker: Worker;
  readonly #rows = new JobRowWriter();
  readonly #frames = new Map<number, (() => void)[]>();
  readonly #eventBytes: number;
  readonly #pool: Pool | undefined;
  readonly #onFailed: (error: Error) => void;
  #waiting: (() => void)[] = [];
  #nextFrame = 1;
  #flushDue = false;

  constructor(postgres: EmbeddedPostgres, { eventBytes, deliverTo }: RawStart, onFailed: (error: Error) => void) {
    this.#eventBytes = eventBytes;
    this.#onFailed = onFailed;
    this.#pool =
      deliverTo === undefined ? undefined : new Pool(deliverTo, { connections: deliveryConnections, pipelining: 1 });
    this.#worker = new Worker(workerEntry('./raw-storage', import.meta.url), { workerData: postgres.address });
    this.#worker.on('error', onFailed);
    this.#worker.on('message', ({ frame }: RawReply) => {
      for (const answer of this.#frames.get(frame) ?? []) answer();
      this.#frames.delete(frame);
    });
  }

  take(body: Buffer, isBatch: boolean, answer: () => void): void {
    const start = isBatch ? batchPrefix.length : 0;
    for (let at = start; at + this.#eventBytes <= body.byteLength; at += this.#eventBytes + 1) {
      const event = body.subarray(at, at + this.#eventBytes);
      this.#append([event]);
      if (this.#pool !== undefined) this.#waiting.push(() => this.#deliver(event));
    }
    this.#waiting.push(answer);
    this.#flushSoon();
  }

  #append(payload: readonly Buffer[]): void {
    const job = { jobId: 0, parentId: 0, partition: 'raw', userId: '', messageId: '', receivedAtMs: Date.now() };
    this.#rows.append({ ...job, parameters: '' }, [...payload]);
  }

  #deliver(body: Buffer): void {
    this.#pool?.dispatch(
      { path: '/', method: 'POST', headers: deliveryHeaders, body },
      {
        onRequestStart: () => undefined,
        onResponseStart: () => undefined,
        onResponseData: () => undefined,
        onResponseEnd: () => {
          this.#append([]);
          this.#flushSoon();
        },
        onResponseError: (_controller, error) => this.#onFailed(error),
      },
    );
  }

  #flushSoon(): void {
    if (this.#flushDue) return;
    this.#flushDue = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#flushDue = false;
    const { rows, count } = this.#rows.take();
    const frame = this.#nextFrame;
    this.#nextFrame += 1;
    this.#frames.set(frame, this.#waiting);
    this.#waiting = [];
    this.#worker.postMessage({ frame, rows, count } satisfies RawFrame, [rows.buffer as ArrayBuffer]);
  }

  async stop(): Promise<void> {
    await this.#pool?.destroy();
    await this.#worker.terminate();
  }
}

async function serve(cleanup: CleanupList, order: RawStart, onFailed: (error: Error) => void): Promise<void> {
  const dataDir = await temporaryFolder(cleanup);
  const postgres = await startEmbeddedPostgres({ dataDir, log: silent });
  cleanup.after(() => postgres.stop());
  const ingest = new RawIngest(postgres, order, onFailed);
  cleanup.after(() => ingest.stop());
  const loaded = await loadUws();
  if (!loaded.ok) throw loaded.error;
  const { uws } = loaded;
  const app = uws.App();
  cleanup.after(() => app.close());
  app.any('/*', (response, request) => {
    const isBatch = request.getUrl() === '/v1/batch';
    const chunks: Buffer[] = [];
    let aborted = false;
    response.onAborted(() => {
      aborted = true;
    });
    response.onData((chunk, isLast) => {
      // The chunk is dead after this callback: it is copied, as the product has to do as well.
      chunks.push(Buffer.from(new Uint8Array(chunk.slice(0))));
      if (!isLast) return;
      const body = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
      ingest.take(body, isBatch, () => {
        if (!aborted) response.cork(() => response.end('ok'));
      });
    });
  });
  app.listen('127.0.0.1', 0, 0, (socket) =>
    process.send?.({ port: uws.us_socket_local_port(socket) } satisfies RawReady),
  );
}

const cleanup = new CleanupList();

function finish(exitCode: number): void {
  cleanup.run().then(
    () => process.exit(exitCode),
    () => process.exit(1),
  );
}

function fail(error: unknown): void {
  console.error(error);
  finish(1);
}

process.once('SIGTERM', () => finish(0));
// Whoever asked is gone, however it ended.
process.once('disconnect', () => finish(0));
process.once('message', (order: RawStart) => {
  serve(cleanup, order, fail).catch(fail);
});
