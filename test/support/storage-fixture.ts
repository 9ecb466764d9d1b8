// A storage actor on a real database in an actor system of its own, with consumers that do as they are told: for
// tests of what storage promises, without the stages around it.

import { type Settings, settingsSchema } from '../../actors/config.ts';
import { ControlsHolder } from '../../actors/controls/contract.ts';
import type { Environment } from '../../actors/environment.ts';
import type { Job, QueueName } from '../../actors/job.ts';
import { consumerPlace } from '../../actors/lanes.ts';
import { WorkspaceHolder } from '../../actors/services/workspace.ts';
import {
  type Commit,
  type CommitReply,
  type ConsumerMessage,
  type HandedJobs,
  type JobStatus,
  leaseKind,
  type PartitionResults,
  type StorageMessage,
  type StorageStats,
  storageKind,
} from '../../actors/storage/contract.ts';
import { JobRowWriter, readJobs } from '../../actors/storage/job-row.ts';
import { leaseDefinition } from '../../actors/storage/lease-actor.ts';
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
  /** Errors that the actors logged. */
  failures: string[];
  stop(): Promise<void>;
}

export function storageFixture(
  database: TestDatabase,
  storageSettings: Record<string, number> = {},
  lane = '0',
  onError: (text: string) => void = () => undefined,
): StorageFixture {
  const settings = settingsWith({ lanes: Number(lane) + 1, ...storageSettings });
  const consumer = consumersByPlace();
  const changed: (() => void)[] = [];
  const failures: string[] = [];
  const system = startSystem(database, settings, {
    onJobs: (queue, partition, message) => {
      const mine = consumer(queue, partition);
      if (message.session !== mine.session) return;
      note(mine, message);
      for (const notify of changed.splice(0)) notify();
    },
    onLeave: (queue, partition, session) => storage.tell(closed(queue, partition, session)),
    onError: (text) => {
      failures.push(text);
      onError(text);
    },
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
      storage.tell(closed(queue, partition, mine.session));
      Object.assign(mine, { session: 0, handed: [], statuses: new Map(), messages: [] });
    },
    maintain: () => storage.ask<void>({ kind: 'maintain' }, { timeoutMs: replyMs }),
    stats: () => storage.ask<StorageStats>({ kind: 'getStats' }, { timeoutMs: replyMs }),
  };
}

function note(consumer: Consumer, message: HandedJobs): void {
  consumer.messages.push(message);
  consumer.handed.push(...readJobs(message.rows));
  for (const status of message.statuses) consumer.statuses.set(status.jobId, status);
}

function closed(queue: QueueName, partition: string, session: number): StorageMessage {
  return { kind: 'closePartition', queue, partition, session, restUntilMs: 0, isFull: false };
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

let fixtures = 0;

interface SystemEvents {
  onJobs(queue: QueueName, partition: string, message: HandedJobs): void;
  onLeave(queue: QueueName, partition: string, session: number): void;
  onError(text: string): void;
}

function startSystem(database: TestDatabase, settings: Settings, events: SystemEvents): ActorSystem {
  const telemetry = {
    metrics: createMetrics(),
    tracing: { enabled: false, start: () => ({ traceparent: undefined, end: () => undefined }) },
  };
  fixtures += 1;
  const environment: Environment = {
    settings,
    workspace: new WorkspaceHolder(),
    controls: new ControlsHolder(),
    telemetry,
    postgres: database.address,
    instanceId: `test/${database.name}/${fixtures}`,
  };
  const system = new ActorSystem({
    threadId: 1,
    role: 'storage',
    roles: { [storageKind]: 'storage', [leaseKind]: 'storage', processor: 'storage', router: 'storage' },
    definitions: [
      storageDefinition(environment),
      leaseDefinition(environment),
      consumerDefinition('processor', 'gw', settings.storage.lanes, events),
      consumerDefinition('router', 'rt', settings.storage.lanes, events),
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

function consumerDefinition(kind: string, queue: QueueName, lanes: number, events: SystemEvents) {
  return defineActor<ConsumerMessage>({
    kind,
    role: 'storage',
    idleMs: 0,
    create: (context) => ({
      onMessage(message) {
        const { partition } = consumerPlace(context.key, lanes);
        if (message.kind === 'jobs') events.onJobs(queue, partition, message);
        if (message.kind === 'leavePartition') events.onLeave(queue, partition, message.session);
      },
    }),
  });
}

/** Settings of storage, and `statementTimeoutMs`. They may lie outside what an operator may choose. */
function settingsWith(storageSettings: Record<string, number>): Settings {
  const config = loadConfig(settingsSchema, { environment: {}, flags: [] });
  if (!config.ok) throw new Error('expected the default settings to be valid');
  const { storage, postgres } = config.settings;
  const { statementTimeoutMs = postgres.statementTimeoutMs, ...own } = storageSettings;
  const unknown = Object.keys(own).filter((name) => !Object.hasOwn(storage, name));
  if (unknown.length > 0) throw new Error(`expected storage settings, got ${unknown.join(', ')}`);
  return { ...config.settings, postgres: { ...postgres, statementTimeoutMs }, storage: { ...storage, ...own } };
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
