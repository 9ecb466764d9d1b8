// The workspace configuration of a control plane, kept current by polling: one workspace by its token, or all workspaces
// of a namespace, of which later answers hold only what changed. The control plane is never needed for anything that
// runs: while it is away or answers nonsense the last good configuration stays, and a start takes it from the cache.
//
//   empty → cached    the control plane did not answer in time at the start, a copy was found
//   empty, cached → current   the first good answer
//   current → current   changes; a refused answer or workspace stays out, its reason in the status

import { createHash } from 'node:crypto';
import type { ActorLog, Clock, Random, Timer } from '../../runtime/index.ts';
import type { BackendConfig, ReloadOutcome, WorkspaceStatus } from './backend-config.ts';
import type { ConfigCache } from './config-cache.ts';
import type { ControlPlane } from './control-plane.ts';
import { PollLoop } from './poll-loop.ts';
import { ServiceError } from './service-client.ts';
import type { ServiceHealth } from './service-health.ts';
import { TrackingPlans } from './tracking-plans.ts';
import type { WorkspaceSnapshot } from './workspace.ts';
import { WorkspaceSet, type WorkspaceSetChange, type WorkspaceSetOutcome } from './workspace-set.ts';

export interface ControlPlaneConfigOptions {
  controlPlane: ControlPlane;
  cache: ConfigCache;
  health: ServiceHealth;
  pollMs: number;
  /** How long a start waits for the first answer before it looks into the cache. */
  firstAnswerMs: number;
  environment: Readonly<Record<string, string | undefined>> | undefined;
  log: ActorLog;
  clock: Clock;
  random: Random;
  turn(): Promise<void>;
  /** Every accepted version; `change` is what makes it of the one before. */
  onSnapshot(snapshot: WorkspaceSnapshot, change: WorkspaceSetChange): void;
}

/** Changes come in bursts while somebody works at the control plane; the copies need not follow each one. */
const cacheDelayMs = 10_000;
const reasonsListedMax = 20;

/** Never rejects: without any configuration the program starts and refuses events until there is one. */
export async function openControlPlaneConfig(options: ControlPlaneConfigOptions): Promise<BackendConfig> {
  const config = new ControlPlaneConfig(options);
  await config.open();
  return config;
}

class ControlPlaneConfig implements BackendConfig {
  readonly #options: ControlPlaneConfigOptions;
  readonly #loop: PollLoop;
  readonly #plans: TrackingPlans;
  #set: WorkspaceSet;
  #current: WorkspaceSnapshot = { version: 0, hash: '', loadedAtMs: 0, sources: [] };
  #destinations = 0;
  #lastError: { atMs: number; text: string } | undefined;
  #isFresh = false;
  #etag = '';
  #bodyHash = '';
  /** The last answer that was refused whole: it comes again with every poll and need not be read again. */
  #refused: { hash: string; reason: string } | undefined;
  #outcome: ReloadOutcome = 'unchanged';
  #cacheTimer: Timer | undefined;
  #caching: Promise<void> = Promise.resolve();

  constructor(options: ControlPlaneConfigOptions) {
    this.#options = options;
    this.#plans = new TrackingPlans(options.controlPlane);
    this.#set = this.#newSet();
    this.#loop = new PollLoop({
      everyMs: options.pollMs,
      clock: options.clock,
      random: options.random,
      run: () => this.#poll(),
      onError: (error) => this.#fail(`expected a poll to be handled without an error, got ${String(error)}`),
    });
  }

  get current(): WorkspaceSnapshot {
    return this.#current;
  }

  async open(): Promise<void> {
    const { clock, firstAnswerMs } = this.#options;
    const late = new Promise<boolean>((settle) => void clock.setTimer(firstAnswerMs, () => settle(false)));
    // The poll goes on whatever comes first; only the start does not wait any longer.
    const answered = await Promise.race([this.#loop.now(), late]);
    if (!answered && !this.#isFresh) await this.#takeCached();
  }

  status(): WorkspaceStatus {
    const { version, hash, loadedAtMs, sources } = this.#current;
    const path = this.#options.controlPlane.place;
    const status = { path, version, hash, loadedAtMs, sources: sources.length, destinations: this.#destinations };
    return this.#lastError === undefined ? status : { ...status, lastError: this.#lastError };
  }

  async reload(): Promise<ReloadOutcome> {
    await this.#loop.now();
    return this.#outcome;
  }

  async close(): Promise<void> {
    await this.#loop.close();
    const isDue = this.#cacheTimer !== undefined;
    this.#cacheTimer?.cancel();
    if (isDue) this.#writeCache();
    await this.#caching;
  }

  /** Whether the control plane answered with something that could be used. */
  async #poll(): Promise<boolean> {
    const { controlPlane } = this.#options;
    try {
      // Sources are never changed once they are published: those that a plan was missing for come anew.
      if (await this.#plans.retry()) {
        this.#isFresh = false;
        this.#bodyHash = '';
        this.#etag = '';
      }
      // Until a whole answer has been taken there is nothing that changes could be added to.
      const updatedAfter = this.#isFresh && controlPlane.isNamespace ? this.#set.updatedAt : '';
      const fetched = await controlPlane.fetchConfig(updatedAfter, this.#etag);
      if (fetched.kind === 'unchanged') return this.#settle('unchanged');
      const hash = createHash('sha256').update(updatedAfter).update(fetched.body).digest('hex');
      if (hash === this.#bodyHash) return this.#settle('unchanged');
      if (hash === this.#refused?.hash) return this.#fail(this.#refused.reason);
      const outcome = await this.#take(fetched.body);
      if (!outcome.ok) {
        this.#refused = { hash, reason: outcome.reason };
        return this.#fail(outcome.reason);
      }
      await this.#plans.fill(outcome.change.sources);
      // What an incremental answer is called says nothing about the next one, which is asked for with another moment.
      this.#etag = controlPlane.isNamespace ? '' : fetched.etag;
      this.#bodyHash = hash;
      this.#refused = undefined;
      return this.#settle(this.#publish(outcome.change, hash));
    } catch (error) {
      if (error instanceof ServiceError) return this.#fail(error.message);
      throw error;
    }
  }

  async #take(body: Buffer): Promise<WorkspaceSetOutcome> {
    if (!this.#isFresh) return await this.#takeAnew(body);
    const outcome = await this.#answerTo(this.#set, body);
    // It knows of a workspace that we do not: the next poll asks for everything.
    if (!outcome.ok && outcome.mustReload === true) this.#isFresh = false;
    return outcome;
  }

  /** Into a set of its own: what there is may be a copy of another time, or be replaced by one meanwhile. */
  async #takeAnew(body: Buffer): Promise<WorkspaceSetOutcome> {
    const set = this.#newSet();
    const outcome = await this.#answerTo(set, body);
    if (!outcome.ok) return outcome;
    this.#set = set;
    this.#isFresh = true;
    return { ...outcome, change: { ...outcome.change, removedSourceIds: goneFrom(this.#current, outcome.change) } };
  }

  #answerTo(set: WorkspaceSet, body: Buffer): Promise<WorkspaceSetOutcome> {
    return this.#options.controlPlane.isNamespace ? set.takeMany(body) : set.takeOne(body);
  }

  #newSet(): WorkspaceSet {
    const { environment, turn } = this.#options;
    return new WorkspaceSet({ environment, turn });
  }

  async #takeCached(): Promise<void> {
    const { cache, log, controlPlane } = this.#options;
    const body = await cache.read();
    if (body === undefined || this.#isFresh) return;
    const set = this.#newSet();
    const outcome = await set.takeMany(body);
    if (!outcome.ok || this.#isFresh) return;
    this.#set = set;
    this.#publish(outcome.change, createHash('sha256').update(body).digest('hex'), false);
    log.warn({ place: controlPlane.place }, 'started with the kept configuration; the control plane did not answer');
  }

  #publish(change: WorkspaceSetChange, hash: string, isNew = true): ReloadOutcome {
    const { clock, onSnapshot, log } = this.#options;
    const isSame = change.sources.length === 0 && change.removedSourceIds.length === 0;
    if (isSame && this.#current.version > 0) return 'unchanged';
    const sources = this.#set.sources;
    this.#current = { version: this.#current.version + 1, hash, loadedAtMs: clock.nowMs(), sources };
    this.#destinations = sources.reduce((sum, source) => sum + source.destinations.length, 0);
    const counts = { changed: change.sources.length, removed: change.removedSourceIds.length, sources: sources.length };
    log.info({ version: this.#current.version, ...counts }, 'took over a new configuration');
    onSnapshot(this.#current, change);
    if (isNew) this.#cacheTimer ??= clock.setTimer(cacheDelayMs, () => this.#writeCache());
    return 'published';
  }

  #writeCache(): void {
    this.#cacheTimer = undefined;
    this.#caching = this.#caching.then(() => this.#options.cache.write(this.#current.sources));
  }

  /** The answer was good; workspaces that were refused are named all the same, for as long as they are. */
  #settle(outcome: ReloadOutcome): boolean {
    const refusals = [...this.#set.refusals, ...this.#plans.missing];
    if (refusals.length > 0) this.#fail(listOf(refusals));
    else {
      this.#lastError = undefined;
      this.#options.health.succeeded();
    }
    this.#outcome = outcome;
    return true;
  }

  #fail(text: string): boolean {
    this.#outcome = 'refused';
    this.#lastError = { atMs: this.#options.clock.nowMs(), text };
    this.#options.health.failed(text);
    return false;
  }
}

function goneFrom(before: WorkspaceSnapshot, change: WorkspaceSetChange): string[] {
  const kept = new Set(change.sources.map(({ id }) => id));
  return before.sources.map(({ id }) => id).filter((id) => !kept.has(id));
}

function listOf(reasons: readonly string[]): string {
  const listed = reasons.slice(0, reasonsListedMax).join('; ');
  return reasons.length <= reasonsListedMax ? listed : `${listed}; and ${reasons.length - reasonsListedMax} more`;
}
