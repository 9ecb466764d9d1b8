// The raw limit of durable ingest on this machine: the bare minimum between a socket and a commit, with the same
// engine, threads and settings as the product but none of its logic. uWebSockets.js takes the bytes, a worker thread
// writes everything that arrived during the last commit in one COPY, and then the requests are answered.
//
// It cuts batches by the known size of an event and looks at no content: whatever the product does beyond that is what
// the ratio between the two shows.

import { Worker } from 'node:worker_threads';
import { JobRowWriter } from '../actors/storage/job-row.ts';
import { CleanupList, temporaryFolder } from '../test/support/cleanup.ts';
import { loadUws } from '../transport/http-server-uws.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres, workerEntry } from '../transport/index.ts';
import { batchPrefix } from './event-template.ts';
import type { RawFrame, RawReply } from './raw-storage.ts';

export interface RawStart {
  eventBytes: number;
}

export interface RawReady {
  port: number;
}

interface Waiting {
  status: () => void;
}

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

class RawIngest {
  readonly #worker: Worker;
  readonly #rows = new JobRowWriter();
  readonly #frames = new Map<number, Waiting[]>();
  readonly #eventBytes: number;
  #waiting: Waiting[] = [];
  #nextFrame = 1;
  #flushDue = false;

  constructor(postgres: EmbeddedPostgres, eventBytes: number) {
    this.#eventBytes = eventBytes;
    this.#worker = new Worker(workerEntry('./raw-storage', import.meta.url), { workerData: postgres.address });
    this.#worker.on('message', ({ frame }: RawReply) => {
      for (const { status } of this.#frames.get(frame) ?? []) status();
      this.#frames.delete(frame);
    });
  }

  take(body: Buffer, isBatch: boolean, answer: () => void): void {
    const start = isBatch ? batchPrefix.length : 0;
    for (let at = start; at + this.#eventBytes <= body.byteLength; at += this.#eventBytes + 1) {
      const job = { jobId: 0, parentId: 0, partition: 'raw', userId: '', messageId: '', receivedAtMs: Date.now() };
      this.#rows.append({ ...job, parameters: '' }, [body.subarray(at, at + this.#eventBytes)]);
    }
    this.#waiting.push({ status: answer });
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

  stop(): Promise<number> {
    return this.#worker.terminate();
  }
}

async function serve(eventBytes: number): Promise<void> {
  const cleanup = new CleanupList();
  const dataDir = await temporaryFolder(cleanup);
  const postgres = await startEmbeddedPostgres({ dataDir, log: silent });
  cleanup.after(() => postgres.stop());
  const ingest = new RawIngest(postgres, eventBytes);
  const loaded = await loadUws();
  if (!loaded.ok) throw loaded.error;
  const { uws } = loaded;
  const app = uws.App();
  app.any('/*', (response, request) => {
    const isBatch = request.getUrl() === '/v1/batch';
    const chunks: Buffer[] = [];
    let aborted = false;
    response.onAborted(() => {
      aborted = true;
    });
    response.onData((chunk, isLast) => {
      chunks.push(Buffer.from(new Uint8Array(chunk)));
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
  process.once('SIGTERM', () => {
    app.close();
    ingest
      .stop()
      .then(() => cleanup.run())
      .finally(() => process.exit(0));
  });
}

process.once('message', ({ eventBytes }: RawStart) => {
  serve(eventBytes).catch((error: unknown) => {
    console.error(error);
    process.exit(1);
  });
});
