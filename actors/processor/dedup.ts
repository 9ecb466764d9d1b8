// Drops events whose message id their source has sent before (spec/ingest.md 4.4). In two phases: a job claims its id
// when it is processed, and the claim is remembered for good by the commit that ends the job. When the commit is refused
// the claim is given back; when its outcome is not known all is forgotten and read again from what was committed. So a
// crash never makes an event its own duplicate, and a duplicate of what was committed is always found.
//
//   unknown --begin: nobody else has added to what this thread remembers--> ready
//   unknown --begin: somebody has--> reading --all pages--> ready;  any --forget: session lost--> unknown
//
// An event that is aborted gives its id back: it may be tried again, or sent again. A duplicate of an event that is still
// under way shares its fate; should that one be aborted, it is the one to try again.

import { hash } from 'node:crypto';
import type { Settings } from '../config.ts';
import type { GatewayParameters, Job } from '../job.ts';
import type { SourceConfig } from '../services/workspace.ts';
import type { SeenFound } from '../storage/contract.ts';
import type { DedupClaims } from './dedup-claims.ts';
import type { DedupMemory, PartitionMemory } from './dedup-memory.ts';

const windowMsMax = 7 * 86_400_000;

/** For how long each source's message ids are remembered. Worked out once per configuration change. */
export class DedupWindows {
  readonly #settings: Settings['dedup'];
  readonly #windows = new WeakMap<SourceConfig, number>();

  constructor(settings: Settings['dedup']) {
    this.#settings = settings;
  }

  /** 0: duplicates of this source are let through. */
  of(source: SourceConfig): number {
    let windowMs = this.#windows.get(source);
    if (windowMs === undefined) {
      windowMs = windowOf(source, this.#settings);
      this.#windows.set(source, windowMs);
    }
    return windowMs;
  }
}

/** `config.dedup` of a source: true, false or `{enabled, windowMs}`. What is replayed was seen before, and is meant to be. */
function windowOf({ config, originalId }: SourceConfig, settings: Settings['dedup']): number {
  const own = config.dedup;
  const isOwn = typeof own === 'object' && own !== null;
  const enabled: unknown = isOwn ? Reflect.get(own, 'enabled') : own;
  const windowMs: unknown = isOwn ? Reflect.get(own, 'windowMs') : undefined;
  const isEnabled = typeof enabled === 'boolean' ? enabled : isOwn || (settings.enabled && originalId === undefined);
  if (!isEnabled) return 0;
  return typeof windowMs === 'number' && windowMs > 0 ? Math.min(windowMs, windowMsMax) : settings.windowMs;
}

/** What all processors of a thread have in common. */
export interface DedupShared {
  windows: DedupWindows;
  memory: DedupMemory;
}

/** Of one partition. */
export class Dedup {
  readonly #shared: DedupShared;
  readonly #key: string;
  #memory: PartitionMemory;
  #state: 'unknown' | 'reading' | 'ready' = 'unknown';
  #mark = 0;

  constructor(shared: DedupShared, key: string) {
    this.#shared = shared;
    this.#key = key;
    this.#memory = shared.memory.open(key);
  }

  get isReady(): boolean {
    return this.#state === 'ready';
  }

  get isReading(): boolean {
    return this.#state === 'reading';
  }

  /**
   * With the first jobs of a session: `mark` is the session that added last, as storage tells it (HandedJobs). True: what
   * storage knows must be read and given to `load`, page by page, before anything is processed.
   */
  begin(mark: number): boolean {
    if (this.#state !== 'unknown') return false;
    this.#mark = mark;
    if (mark === 0 || (mark > 0 && mark === this.#memory.mark)) {
      this.#state = 'ready';
      return false;
    }
    this.#renew();
    this.#state = 'reading';
    return true;
  }

  load({ seen, next }: Extract<SeenFound, { kind: 'seenFound' }>): void {
    this.#memory.load(seen);
    if (next !== undefined) return;
    this.#memory.mark = this.#mark;
    this.#state = 'ready';
  }

  /** False: the event is a duplicate. */
  claim(claims: DedupClaims, job: Job, source: SourceConfig, parameters: GatewayParameters): boolean {
    const windowMs = this.#shared.windows.of(source);
    if (windowMs === 0 || job.messageId === '') return true;
    const run = parameters.source_job_run_id ?? '';
    // The hash as text of sixteen and more Latin-1 characters: a Buffer would cost three times as much.
    const digest = hash('sha256', `${source.id}\0${run}\0${job.messageId}`, 'binary');
    const low = wordAt(digest, 0);
    const high = wordAt(digest, 4);
    if (!this.#memory.add(low, high, windowMs, job.receivedAtMs)) return false;
    claims.add({ jobId: job.jobId, windowMs, low, high }, job.receivedAtMs);
    return true;
  }

  /** The job comes to nothing. */
  giveBack(claims: DedupClaims, jobId: number): void {
    const claim = claims.remove(jobId);
    if (claim !== undefined) this.#memory.delete(claim.low, claim.high);
  }

  /** The commit was refused: its jobs will be processed again. */
  giveBackAll(claims: DedupClaims): void {
    for (const { low, high } of claims.all) this.#memory.delete(low, high);
  }

  /** The commit of `session` was made. */
  committed(claims: DedupClaims, session: number): void {
    if (claims.all.length > 0) this.#memory.mark = session;
  }

  /** What was committed is not known for sure any more. */
  forget(): void {
    this.#renew();
    this.#state = 'unknown';
  }

  /** The actor goes, everything it claimed is committed. */
  close(): void {
    if (this.#state === 'reading') this.#renew();
    this.#shared.memory.close(this.#key);
  }

  #renew(): void {
    this.#shared.memory.drop(this.#key);
    this.#memory = this.#shared.memory.open(this.#key);
  }
}

function wordAt(text: string, at: number): number {
  const bytes =
    text.charCodeAt(at) |
    (text.charCodeAt(at + 1) << 8) |
    (text.charCodeAt(at + 2) << 16) |
    (text.charCodeAt(at + 3) << 24);
  return bytes >>> 0;
}
