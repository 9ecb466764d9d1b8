// Processor, router and the storage model on two simulated threads with a virtual clock: real actors, real runtime,
// real encoding between the threads, no network and no time. Either thread can be killed and started again; the disk
// (MemoryStorage) stays.

import assert from 'node:assert/strict';
import { type Settings, settingsSchema } from '../../actors/config.ts';
import { ControlsHolder } from '../../actors/controls/contract.ts';
import type { Environment } from '../../actors/environment.ts';
import type { QueueName } from '../../actors/job.ts';
import { type DestinationFound, processDefinition, processKind } from '../../actors/process-actor.ts';
import { processorDefinition } from '../../actors/processor/processor-actor.ts';
import type { Delivery, DeliveryOutcome, DeliveryRequest } from '../../actors/router/delivery.ts';
import { routerDefinition } from '../../actors/router/router-actor.ts';
import { type SourceConfig, WorkspaceHolder } from '../../actors/services/workspace.ts';
import { storageKind } from '../../actors/storage/contract.ts';
import { type ActorDefinition, type ActorRef, createMetrics, loadConfig } from '../../runtime/index.ts';
import type { Clock, Executor, Random, Timer } from '../../runtime/seams.ts';
import { realTurn, seededRandom } from '../../runtime/seams.ts';
import { ActorSystem } from '../../runtime/system.ts';
import { VirtualClock, VirtualExecutor } from '../../runtime/virtual-seams.ts';
import { createMemoryLinks } from '../../transport/index.ts';
import { MemoryStorage, memoryStorageDefinition, type NewJob } from './memory-storage.ts';
import { makeSnapshot } from './workspace-objects.ts';

export interface SentRequest {
  request: DeliveryRequest;
  /** The event in the body. */
  event: Record<string, unknown>;
  sentAtMs: number;
  /** 0 while it is in flight. */
  code: number;
  /** What was answered. */
  answer: string;
}

/** A code, or an outcome, or never by itself (`hold`). */
export type VirtualAnswer = number | Partial<DeliveryOutcome> | 'hold';

/** Destinations of every kind behind one Delivery: answers by rule after some virtual time. */
export class VirtualDestinations {
  readonly requests: SentRequest[] = [];
  readonly released: string[] = [];
  latencyMs = 5;
  answer: (request: SentRequest) => VirtualAnswer = () => 200;
  readonly #held: { sent: SentRequest; done: (outcome: DeliveryOutcome) => void }[] = [];

  delivery(clock: Clock): Delivery {
    return {
      send: (request, done) => {
        const event = JSON.parse(Buffer.from(request.body).toString() || '{}');
        const sent: SentRequest = { request, event, sentAtMs: clock.nowMs(), code: 0, answer: '' };
        this.requests.push(sent);
        const answer = this.answer(sent);
        if (answer === 'hold') this.#held.push({ sent, done });
        else clock.setTimer(this.latencyMs, () => finish(sent, answer, done));
      },
      release: (poolKey) => {
        this.released.push(poolKey);
      },
    };
  }

  get heldCount(): number {
    return this.#held.length;
  }

  /** Answers what was held back so far. */
  release(answer: Exclude<VirtualAnswer, 'hold'> = 200): void {
    for (const { sent, done } of this.#held.splice(0)) finish(sent, answer, done);
  }

  delivered(): SentRequest[] {
    return this.requests.filter(({ code }) => code >= 200 && code < 300);
  }
}

function finish(
  sent: SentRequest,
  answer: Exclude<VirtualAnswer, 'hold'>,
  done: (outcome: DeliveryOutcome) => void,
): void {
  const given = typeof answer === 'number' ? { code: answer } : answer;
  const outcome = { code: 200, response: '', contentType: '', retryAfterMs: undefined, ...given };
  sent.code = outcome.code;
  sent.answer = outcome.response;
  done(outcome);
}

type ThreadName = 'actors' | 'storage';
const threadIds: Readonly<Record<ThreadName, number>> = { actors: 1, storage: 2 };
const otherThread: Readonly<Record<ThreadName, ThreadName>> = { actors: 'storage', storage: 'actors' };
/** Turns without anything to do after which nothing more is going to happen. */
const quietTurns = 3;

export interface VirtualOptions {
  sources?: SourceConfig[];
  seed?: number;
  settings?: { processor?: Partial<Settings['processor']>; router?: Partial<Settings['router']> };
}

/** One simulated thread; once dead, none of its timers and turns run. */
interface Thread {
  system: ActorSystem;
  isDead: boolean;
}

export class VirtualPipeline {
  readonly storage = new MemoryStorage();
  readonly destinations = new VirtualDestinations();
  readonly workspace = new WorkspaceHolder();
  readonly controls = new ControlsHolder();
  /** What routers told about destinations. */
  readonly found: DestinationFound[] = [];
  readonly settings: Settings;
  readonly clock = new VirtualClock();
  readonly logs: string[] = [];
  readonly #executor = new VirtualExecutor();
  readonly #random: Random;
  readonly #threads = new Map<ThreadName, Thread>();
  #workspaceVersion = 0;

  constructor({ sources, seed = 1, settings = {} }: VirtualOptions = {}) {
    this.#random = seededRandom(seed);
    const loaded = loadConfig(settingsSchema, { environment: {}, flags: [] });
    assert(loaded.ok);
    const defaults = loaded.settings;
    this.settings = {
      ...defaults,
      processor: { ...defaults.processor, ...settings.processor },
      router: { ...defaults.router, ...settings.router },
    };
    if (sources !== undefined) this.publish(sources);
    this.start('storage');
    this.start('actors');
    this.#connect();
  }

  get nowMs(): number {
    return this.clock.nowMs();
  }

  publish(sources: SourceConfig[]): void {
    this.#workspaceVersion += 1;
    this.workspace.publish(makeSnapshot(sources, this.#workspaceVersion));
  }

  /** Stores jobs as another thread would have, and lets storage know. */
  add(queue: QueueName, jobs: readonly NewJob[]): void {
    this.storage.add(queue, jobs);
    this.wake();
  }

  /** Tells storage to look for work and to wake its consumers. */
  wake(): void {
    this.ref(storageKind, '0').tell({ kind: 'wakeAll' });
  }

  ref(kind: string, key: string): ActorRef<unknown> {
    return this.system(kind === storageKind ? 'storage' : 'actors').ref(kind, key);
  }

  system(name: ThreadName): ActorSystem {
    const thread = this.#threads.get(name);
    assert(thread !== undefined);
    return thread.system;
  }

  /** The thread is gone in this instant, with everything in it and on its way to it; another one takes its place. */
  async kill(name: ThreadName): Promise<void> {
    const thread = this.#threads.get(name);
    assert(thread !== undefined);
    thread.isDead = true;
    this.system(otherThread[name]).detachLink(threadIds[name], 'killed by the test');
    this.start(name);
    this.#connect();
    await this.settle();
    this.wake();
  }

  start(name: ThreadName): void {
    const thread: Partial<Thread> = { isDead: false };
    const clock = gatedClock(this.clock, () => thread.isDead === true);
    const executor: Executor = {
      nextTurn: (run) => this.#executor.nextTurn(() => (thread.isDead === true ? undefined : run())),
    };
    thread.system = new ActorSystem({
      threadId: threadIds[name],
      role: name,
      definitions: this.#definitions(name, clock),
      roles: { [storageKind]: 'storage', processor: 'actors', router: 'actors', [processKind]: 'storage' },
      seams: { clock, executor, random: this.#random },
      log: this.#log(),
      serializeLocalMessages: true,
    });
    thread.system.setPlacement({ epoch: 1, threadsByRole: { actors: [1], storage: [2] }, pins: {} });
    this.#threads.set(name, thread as Thread);
  }

  /** Runs everything that can run without time passing. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < quietTurns; ) {
      await realTurn();
      quiet = this.#executor.runTurn() ? 0 : quiet + 1;
    }
  }

  /** Lets time pass, with everything that is due on the way. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.clock.monotonicMs() + ms;
    await this.settle();
    while (this.clock.fireNext(untilMs)) await this.settle();
    this.clock.spend(untilMs - this.clock.monotonicMs());
  }

  /** Lets time pass until `holds`, in steps of the next thing that is due. */
  async until(what: string, holds: () => boolean, limitMs = 3_600_000): Promise<void> {
    const untilMs = this.clock.monotonicMs() + limitMs;
    await this.settle();
    while (!holds()) {
      assert(
        this.clock.fireNext(untilMs),
        `expected ${what} within ${limitMs} virtual ms; log: ${this.logs.slice(-5)}`,
      );
      await this.settle();
    }
  }

  #connect(): void {
    const [actors, storage] = createMemoryLinks({
      threads: [threadIds.actors, threadIds.storage],
      schedule: (deliver) => this.#executor.nextTurn(deliver),
    });
    this.system('actors').attachLink(actors);
    this.system('storage').attachLink(storage);
  }

  /** Stands on the storage thread here; the simulated pair has no main thread. */
  #process(): ActorDefinition<never> {
    const definition = processDefinition({
      onDestinationFound: (found) => void this.found.push(found),
    });
    return { ...definition, role: 'storage' };
  }

  #definitions(name: ThreadName, clock: Clock): ActorDefinition<never>[] {
    if (name === 'storage') return [memoryStorageDefinition(this.storage), this.#process()];
    const environment: Environment = {
      settings: this.settings,
      workspace: this.workspace,
      controls: this.controls,
      postgres: { url: '' },
      instanceId: 'virtual',
      telemetry: {
        metrics: createMetrics(),
        tracing: { enabled: false, start: () => ({ traceparent: undefined, end: () => {} }) },
      },
    };
    return [processorDefinition(environment), routerDefinition(environment, () => this.destinations.delivery(clock))];
  }

  #log() {
    const write = (level: string) => (fields: Record<string, unknown>, text: string) => {
      this.logs.push(
        `${level} ${text} ${JSON.stringify(fields, (_key, value) => (value instanceof Error ? value.stack : value))}`,
      );
    };
    return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
  }
}

function gatedClock(clock: Clock, isDead: () => boolean): Clock {
  return {
    nowMs: () => clock.nowMs(),
    monotonicMs: () => clock.monotonicMs(),
    setTimer: (delayMs: number, callback: () => void): Timer =>
      clock.setTimer(delayMs, () => (isDead() ? undefined : callback())),
  };
}
