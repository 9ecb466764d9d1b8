// A storage actor on a real database in an actor system of its own, with consumers that do as they are told: for
// tests of what storage promises, without the stages around it.

import { type Settings, settingsSchema } from '../../actors/config.ts';
import { ControlsHolder } from '../../actors/controls/contract.ts';
import type { Job, QueueName } from '../../actors/job.ts';
import { WorkspaceHolder } from '../../actors/services/workspace.ts';
import {
  type Commit,
  type CommitReply,
  type HandedJobs,
  type JobStatus,
  type PartitionResults,
  type StorageMessage,
  type StorageStats,
  storageKind,
} from '../../actors/storage/contract.ts';
import { JobRowWriter, readJobs } from '../../actors/storage/job-row.ts';
import { storageDefinition } from '../../actors/storage/storage-actor.ts';
import { type ActorRef, ActorSystem, createMetrics, defineActor, loadConfig, realSeams } from '../../runtime/index.ts';
import type { TestDatabase } from './database.ts';

const replyMs = 20_000;

/** One consumer's view: what it was handed in its present session, in order. */
export interface Consumer {
  session: number;
  handed: Job[];
  statuses: Map<number, JobStatus>;
  messages: HandedJobs[];
}

export interface StorageFixture {
  storage: ActorRef<StorageMessage>;
  /** By queue and partition; made by the first wake-up or `open`. */
  consumer(queue: QueueName, partition: string): Consumer;
  open(queue: QueueName, partition: string, slots: number): Consumer;
  pull(queue: QueueName, partition: string, slots: number): void;
  store(queue: QueueName, partitions: readonly string[]): Promise<CommitReply>;
  commit(commit: Partial<Commit>): Promise<CommitReply>;
  /** Results of the present session of the partition. */
  results(queue: QueueName, partition: string, done: Partial<PartitionResults>): PartitionResults;
  /** Resolves when the consumer holds so many jobs. */
  holds(queue: QueueName, partition: string, count: number): Promise<Consumer>;
  close(queue: QueueName, partition: string): void;
  /** One round of maintenance; resolves when it is done. */
  maintain(): Promise<void>;
  stats(): Promise<StorageStats>;
  /** Reasons of `processFailed` messages. */
  failures: string[];
  stop(): Promise<void>;
}

export function storageFixture(
  database: TestDatabase,
  storageSettings: Record<string, number> = {},
  lane = '0',
  onError: (text: string) => void = () => undefined,
): StorageFixture {
  const settings = settingsWith(storageSettings);
  const consumer = consumersByPlace();
  const changed: (() => void)[] = [];
  const failures: string[] = [];
  const system = startSystem(database, settings, {
    onJobs: (queue, partition, message) => {
      const mine = consumer(queue, partition);
      if (message.session !== mine.session) return;
      mine.messages.push(message);
      mine.handed.push(...readJobs(message.rows));
      for (const status of message.statuses) mine.statuses.set(status.jobId, status);
      for (const notify of changed.splice(0)) notify();
    },
    onFailed: (reason) => failures.push(reason),
    onError,
  });
  const storage = system.ref<StorageMessage>(storageKind, lane);
  let sessions = 0;
  // Timers of the program do not keep a process alive; in a thread its ports do, here nothing else would.
  const alive = setInterval(() => undefined, 60_000);
  const stop = async (): Promise<void> => {
    await system.drain(10_000);
    clearInterval(alive);
  };
  database.beforeDrop(stop);
  const commit = (partial: Partial<Commit>): Promise<CommitReply> =>
    storage.ask<CommitReply>({ kind: 'commit', jobs: [], results: [], ledger: [], ...partial }, { timeoutMs: replyMs });
  return {
    storage,
    consumer,
    failures,
    commit,
    stop,
    open(queue, partition, slots) {
      const mine = consumer(queue, partition);
      sessions += 1;
      Object.assign(mine, { session: sessions, handed: [], statuses: new Map(), messages: [] });
      storage.tell({ kind: 'openPartition', queue, partition, session: sessions });
      storage.tell({ kind: 'pullJobs', queue, partition, session: sessions, slots });
      return mine;
    },
    pull(queue, partition, slots) {
      storage.tell({ kind: 'pullJobs', queue, partition, session: consumer(queue, partition).session, slots });
    },
    store: (queue, partitions) => commit({ jobs: [{ queue, ...jobRows(partitions) }] }),
    results: (queue, partition, done) => ({
      queue,
      partition,
      session: consumer(queue, partition).session,
      runs: [],
      statuses: [],
      ...done,
    }),
    async holds(queue, partition, count) {
      const mine = consumer(queue, partition);
      while (mine.handed.length < count) await new Promise<void>((resolve) => changed.push(resolve));
      return mine;
    },
    close(queue, partition) {
      const mine = consumer(queue, partition);
      storage.tell({ kind: 'closePartition', queue, partition, session: mine.session, restUntilMs: 0, isFull: false });
      Object.assign(mine, { session: 0, handed: [], statuses: new Map(), messages: [] });
    },
    maintain: async () => {
      await storage.ask({ kind: 'maintain' }, { timeoutMs: replyMs });
    },
    stats: () => storage.ask<StorageStats>({ kind: 'getStats' }, { timeoutMs: replyMs }),
  };
}

function consumersByPlace(): StorageFixture['consumer'] {
  const consumers = new Map<string, Consumer>();
  return (queue, partition) => {
    const key = `${queue}/${partition}`;
    const known = consumers.get(key) ?? { session: 0, handed: [], statuses: new Map(), messages: [] };
    consumers.set(key, known);
    return known;
  };
}

interface SystemEvents {
  onJobs(queue: QueueName, partition: string, message: HandedJobs): void;
  onFailed(reason: string): void;
  onError(text: string): void;
}

function startSystem(database: TestDatabase, settings: Settings, events: SystemEvents): ActorSystem {
  const telemetry = {
    metrics: createMetrics(),
    tracing: { enabled: false, start: () => ({ traceparent: undefined, end: () => undefined }) },
  };
  const system = new ActorSystem({
    threadId: 1,
    role: 'storage',
    roles: { [storageKind]: 'storage', processor: 'storage', router: 'storage', process: 'storage' },
    definitions: [
      storageDefinition({
        settings,
        workspace: new WorkspaceHolder(),
        controls: new ControlsHolder(),
        telemetry,
        postgres: database.address,
        instanceId: `test/${database.name}`,
      }),
      consumerDefinition('processor', 'gw', events),
      consumerDefinition('router', 'rt', events),
      defineActor<{ kind: string; reason: string }>({
        kind: 'process',
        role: 'storage',
        create: () => ({ onMessage: (message) => events.onFailed(message.reason) }),
      }),
    ],
    seams: realSeams(),
    log: {
      debug: () => undefined,
      info: () => undefined,
      warn: () => undefined,
      error: (_fields, text) => events.onError(text),
    },
  });
  system.setPlacement({ epoch: 1, threadsByRole: { storage: [1] }, pins: {} });
  return system;
}

function consumerDefinition(kind: string, queue: QueueName, events: SystemEvents) {
  return defineActor<{ kind: 'jobsReady' } | HandedJobs>({
    kind,
    role: 'storage',
    idleMs: 0,
    create: (context) => ({
      onMessage(message) {
        if (message.kind === 'jobs') events.onJobs(queue, context.key, message);
      },
    }),
  });
}

/** Values may lie outside what an operator may choose: a dataset of eight rows is full soon. */
function settingsWith(storageSettings: Record<string, number>): Settings {
  const config = loadConfig(settingsSchema, { environment: {}, flags: [] });
  if (!config.ok) throw new Error('expected the default settings to be valid');
  const { storage } = config.settings;
  const unknown = Object.keys(storageSettings).filter((name) => !Object.hasOwn(storage, name));
  if (unknown.length > 0) throw new Error(`expected storage settings, got ${unknown.join(', ')}`);
  return { ...config.settings, storage: { ...storage, ...storageSettings } };
}

export function jobRows(partitions: readonly string[], fields: Partial<Job> = {}): { rows: Uint8Array; count: number } {
  const writer = new JobRowWriter();
  for (const [index, partition] of partitions.entries()) {
    writer.append(
      {
        jobId: 0,
        parentId: 0,
        partition,
        userId: 'anonymous<<>>user<<>>',
        messageId: `message-${index}`,
        receivedAtMs: 1_790_000_000_000,
        parameters: '{"source_id":"s"}',
        ...fields,
      },
      [Buffer.from(JSON.stringify({ index }))],
    );
  }
  return writer.take();
}

export function statusOf(jobId: number, fields: Partial<JobStatus>): JobStatus {
  return {
    jobId,
    state: 'failed',
    attempt: 1,
    code: 500,
    response: '{}',
    execTimeMs: 1_790_000_000_000,
    retryTimeMs: 1_790_000_010_000,
    firstAttemptedAtMs: 1_790_000_000_000,
    ...fields,
  };
}
