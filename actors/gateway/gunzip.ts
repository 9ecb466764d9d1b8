// Unpacks request bodies with bounded memory and without letting one client hold up the event loop: what a gzip
// trailer declares small is unpacked at once, anything else on the thread pool, a few at a time.

import { gunzip, gunzipSync } from 'node:zlib';

/** Unpacked here and now up to this size: a hop to the thread pool costs more than it saves. */
const syncBytesMax = 128 * 1024;
/** Bodies on the thread pool at once; bounds the memory of their output. */
const concurrentMax = 8;
/** Smallest possible gzip stream; its last four bytes say how long the output is, modulo 2^32. */
const gzipBytesMin = 18;

export type GunzipOutcome = { ok: true; body: Buffer } | { ok: false; reason: 'tooLarge' | 'broken' };
export type GunzipDone = (outcome: GunzipOutcome) => void;

export class Gunzipper {
  readonly #bytesMax: number;
  /** Bounded by the requests in flight of the HTTP server, and their bytes by its budget. */
  readonly #waiting: { body: Buffer; done: GunzipDone }[] = [];
  #running = 0;

  /** `bytesMax` bounds the output of one body. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** `done` may be called before this returns. */
  unpack(body: Buffer, done: GunzipDone): void {
    const declared = body.byteLength < gzipBytesMin ? -1 : body.readUInt32LE(body.byteLength - 4);
    if (declared >= 0 && declared <= Math.min(syncBytesMax, this.#bytesMax)) {
      const outcome = unpackNow(body, declared);
      // A trailer may lie, and a stream may have several members: then the output does not fit what was declared.
      if (outcome.ok || outcome.reason === 'broken') {
        done(outcome);
        return;
      }
    }
    // The body is only lent until the handler returns.
    this.#waiting.push({ body: Buffer.from(body), done });
    this.#startNext();
  }

  #startNext(): void {
    if (this.#running >= concurrentMax) return;
    const next = this.#waiting.shift();
    if (next === undefined) return;
    this.#running += 1;
    gunzip(next.body, { maxOutputLength: this.#bytesMax, chunkSize: syncBytesMax }, (error, output) => {
      this.#running -= 1;
      this.#startNext();
      next.done(error === null ? { ok: true, body: output } : { ok: false, reason: reasonOf(error) });
    });
  }
}

function unpackNow(body: Buffer, declared: number): GunzipOutcome {
  try {
    const chunkSize = Math.max(64, declared);
    return { ok: true, body: gunzipSync(body, { maxOutputLength: Math.max(1, declared), chunkSize }) };
  } catch (error) {
    return { ok: false, reason: reasonOf(error) };
  }
}

function reasonOf(error: unknown): 'tooLarge' | 'broken' {
  const isTooLarge = error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE';
  return isTooLarge ? 'tooLarge' : 'broken';
}
