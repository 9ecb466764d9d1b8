// What the simulated threads do: talkers and listeners that prove order and answers, and a small model of the product
// (client → store with group commit → partitions that pull, deliver and report) that proves recovery. All of it is
// written as actors of the product are: sessions, demand, repliers, outcomes and schedules.

import {
  type ActorContext,
  type ActorDefinition,
  defineActor,
  type Replier,
  RuntimeError,
} from '../../runtime/index.ts';
import type { Invariants, Job } from './invariants.ts';
import type { SimulatedThread, World } from './world.ts';

export const kindRoles = { talker: 'worker', listener: 'worker', stage: 'worker', store: 'storage' } as const;
export const storeKey = '0';
const askTimeoutMs = 300;
const jobsPerPull = 8;

/** Outlives every thread: what Postgres is to the product. */
export class Database {
  readonly jobs: Job[] = [];
  readonly doneItems = new Set<string>();
  private readonly known = new Set<string>();
  private sessions = 0;

  nextSession(): number {
    this.sessions += 1;
    return this.sessions;
  }

  /** Idempotent by item, as by primary key. */
  store(item: Omit<Job, 'jobId'>): void {
    if (this.known.has(item.itemId)) return;
    this.known.add(item.itemId);
    this.jobs.push({ ...item, jobId: this.jobs.length + 1 });
  }

  pending(partition: string, afterId: number): Job[] {
    const isPending = (job: Job) =>
      job.partition === partition && job.jobId > afterId && !this.doneItems.has(job.itemId);
    return this.jobs.filter(isPending).slice(0, jobsPerPull);
  }

  pendingPartitions(): string[] {
    return [...new Set(this.jobs.filter((job) => !this.doneItems.has(job.itemId)).map((job) => job.partition))];
  }
}

export interface Scene {
  world: World;
  thread: SimulatedThread;
  database: Database;
  invariants: Invariants;
}

export function definitionsFor(scene: Scene): ActorDefinition<never>[] {
  switch (scene.thread.role) {
    case 'worker':
      return [talker(scene), listener(scene), stage(scene)];
    case 'storage':
      return [store(scene)];
    default:
      return [];
  }
}

/** What every handler of the workload may suffer. */
function suffer({ world }: Scene): void {
  if (world.happens(world.faults.slowHandler)) world.clock.spend(1 + world.random.integer(60));
  if (world.happens(world.faults.handlerFailure)) throw new Error('simulated failure');
}

export interface Talk {
  to: string;
  count: number;
}

interface Hear {
  pair: string;
  sequence: number;
}

function talker({ database, invariants, thread }: Scene): ActorDefinition<Talk> {
  return defineActor<Talk>({
    kind: 'talker',
    role: 'worker',
    idleMs: 2000,
    create: (context) => {
      const life = `${context.key}.${database.nextSession()}`;
      const sequences = new Map<string, number>();
      const say = (to: string): void => {
        const sequence = (sequences.get(to) ?? 0) + 1;
        sequences.set(to, sequence);
        const message: Hear = { pair: `${life}>${to}`, sequence };
        const ref = context.ref<Hear>('listener', to);
        invariants.sent += 1;
        if (sequence % 3 !== 0) {
          ref.tell(message);
          return;
        }
        const ask = invariants.askOpened(thread.threadId);
        ref.ask<number>(message, { timeoutMs: askTimeoutMs }).then(
          (answer) => invariants.askAnswered(ask, sequence, answer),
          () => invariants.askEnded(ask),
        );
      };
      return {
        onMessage: ({ to, count }) => {
          for (let said = 0; said < count; said += 1) say(to);
        },
      };
    },
  });
}

function listener(scene: Scene): ActorDefinition<Hear> {
  return defineActor<Hear>({
    kind: 'listener',
    role: 'worker',
    idleMs: 1500,
    mailbox: { capacity: 48 },
    create: (context) => ({
      onMessage: async ({ pair, sequence }) => {
        scene.world.note(`hear ${pair} ${sequence}`);
        scene.invariants.hear(pair, sequence);
        suffer(scene);
        if (sequence % 5 === 0) await Promise.resolve();
        context.reply(sequence);
      },
    }),
  });
}

type StageMessage = { kind: 'jobsReady' } | { kind: 'poll' } | { kind: 'pulled'; jobs: Job[] } | { kind: 'pullFailed' };

function stage(scene: Scene): ActorDefinition<StageMessage> {
  return defineActor<StageMessage>({
    kind: 'stage',
    role: 'worker',
    supervision: { parkMs: 5000 },
    create: (context) => new Stage(scene, context),
  });
}

class Stage {
  private readonly scene: Scene;
  private readonly context: ActorContext<StageMessage>;
  private readonly life: number;
  private session: number;
  private isPulling = false;

  constructor(scene: Scene, context: ActorContext<StageMessage>) {
    this.scene = scene;
    this.context = context;
    this.life = scene.database.nextSession();
    this.session = this.life;
  }

  onStart(): void {
    this.scene.invariants.partitionStarted(this.context.key, this.scene.thread.threadId, this.life);
    this.pull();
  }

  onStop(): void {
    this.scene.invariants.partitionStopped(this.context.key, this.life);
  }

  onMessage(message: StageMessage): void | Promise<void> {
    switch (message.kind) {
      case 'jobsReady':
      case 'poll':
        this.pull();
        return;
      case 'pullFailed':
        this.isPulling = false;
        // Jobs may have been handed out in an answer that never came: a new session gets them again.
        this.session = this.scene.database.nextSession();
        this.context.schedule('poll', 200, { kind: 'poll' });
        return;
      case 'pulled':
        this.isPulling = false;
        return this.deliver(message.jobs);
    }
  }

  private pull(): void {
    if (this.isPulling) return;
    this.isPulling = true;
    const request: StoreMessage = { kind: 'pull', partition: this.context.key, session: this.session };
    const pulled = this.context.ref<StoreMessage>('store', storeKey).ask<Job[]>(request, { timeoutMs: askTimeoutMs });
    this.context.pipeToSelf(pulled, (outcome) =>
      outcome.ok ? { kind: 'pulled', jobs: outcome.value } : { kind: 'pullFailed' },
    );
  }

  private async deliver(jobs: Job[]): Promise<void> {
    const { scene, context } = this;
    if (jobs.length === 0) {
      if (scene.world.happens(0.5)) context.passivate();
      else context.schedule('poll', 2000, { kind: 'poll' });
      return;
    }
    for (const job of jobs) {
      suffer(scene);
      await Promise.resolve();
      scene.world.note(`deliver ${job.itemId}`);
      scene.invariants.jobDelivered(job);
    }
    const itemIds = jobs.map((job) => job.itemId);
    const done: StoreMessage = { kind: 'done', partition: context.key, session: this.session, itemIds };
    await context.ref<StoreMessage>('store', storeKey).ask(done, { timeoutMs: askTimeoutMs });
    this.pull();
  }
}

export type StoreMessage =
  | { kind: 'store'; item: Omit<Job, 'jobId'> }
  | { kind: 'pull'; partition: string; session: number }
  | { kind: 'done'; partition: string; session: number; itemIds: string[] }
  | { kind: 'committed'; ok: boolean; group: number }
  | { kind: 'wake' };

interface Submission {
  items: Omit<Job, 'jobId'>[];
  doneItemIds: string[];
  replier: Replier;
}

function store(scene: Scene): ActorDefinition<StoreMessage> {
  return defineActor<StoreMessage>({
    kind: 'store',
    role: 'storage',
    priority: 'interactive',
    idleMs: 0,
    supervision: { parkMs: 3000 },
    create: (context) => new Store(scene, context),
  });
}

/** Group commit without a timer: what arrives while one group commits is the next group. */
class Store {
  private readonly scene: Scene;
  private readonly context: ActorContext<StoreMessage>;
  private readonly cursors = new Map<string, { session: number; afterId: number }>();
  private next: Submission[] = [];
  private committing: Submission[] = [];
  private groups = 0;

  constructor(scene: Scene, context: ActorContext<StoreMessage>) {
    this.scene = scene;
    this.context = context;
  }

  onMessage(message: StoreMessage): void {
    switch (message.kind) {
      case 'store':
        this.submit({ items: [message.item], doneItemIds: [], replier: this.context.replier() });
        return;
      case 'done':
        if (this.cursors.get(message.partition)?.session !== message.session) {
          throw new RuntimeError('STALE_SESSION', 'the session is not the last one', { retryable: true });
        }
        this.submit({ items: [], doneItemIds: message.itemIds, replier: this.context.replier() });
        return;
      case 'pull':
        this.context.reply(this.hand(message.partition, message.session));
        return;
      case 'committed':
        this.committed(message.ok);
        return;
      case 'wake':
        this.wake(this.scene.database.pendingPartitions());
    }
  }

  private hand(partition: string, session: number): Job[] {
    const known = this.cursors.get(partition);
    const afterId = known?.session === session ? known.afterId : 0;
    const jobs = this.scene.database.pending(partition, afterId);
    this.cursors.set(partition, { session, afterId: jobs.at(-1)?.jobId ?? afterId });
    return jobs;
  }

  private submit(submission: Submission): void {
    this.next.push(submission);
    if (this.committing.length === 0) this.commitNext();
  }

  private commitNext(): void {
    this.committing = this.next;
    this.next = [];
    if (this.committing.length === 0) return;
    this.groups += 1;
    const group = this.groups;
    this.context.pipeToSelf(this.commit(this.committing), ({ ok }) => ({ kind: 'committed', ok, group }));
  }

  private commit(submissions: readonly Submission[]): Promise<void> {
    const { world, database, invariants } = this.scene;
    const failsBefore = world.happens(world.faults.storageFailure);
    const failsAfter = world.happens(world.faults.storageFailure);
    return new Promise((resolve, reject) => {
      this.context.clock.setTimer(1 + world.random.integer(5), () => {
        const failure = new RuntimeError('STORAGE_UNAVAILABLE', 'simulated', { retryable: true });
        if (failsBefore) return reject(failure);
        for (const { items, doneItemIds } of submissions) {
          for (const item of items) database.store(item);
          for (const itemId of doneItemIds) {
            database.doneItems.add(itemId);
            invariants.itemDone(itemId);
          }
        }
        world.note(`commit ${submissions.length}`);
        if (failsAfter) reject(failure);
        else resolve();
      });
    });
  }

  private committed(ok: boolean): void {
    const submissions = this.committing;
    this.committing = [];
    for (const { replier } of submissions) {
      if (ok) replier.reply({ kind: 'committed' });
      else replier.fail(new RuntimeError('STORAGE_UNAVAILABLE', 'simulated', { retryable: true }));
    }
    if (ok) this.wake(new Set(submissions.flatMap(({ items }) => items.map((item) => item.partition))));
    this.commitNext();
  }

  private wake(partitions: Iterable<string>): void {
    for (const partition of partitions) this.context.ref<StageMessage>('stage', partition).tell({ kind: 'jobsReady' });
  }
}
