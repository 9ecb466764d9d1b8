// The storage engine under measurement: the product's storage thread on an embedded PostgreSQL of its own with the
// product's settings, a producer that submits job rows as the gateway does, and consumers in the other thread that take
// jobs over the product's own partition session. No gateway, no processing: what is measured is storing and handing on.

import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { type Settings, settingsSchema } from '../../actors/config.ts';
import { roles } from '../../actors/definitions.ts';
import type { QueueName } from '../../actors/job.ts';
import type { WorkspaceSnapshot } from '../../actors/services/workspace.ts';
import {
  type CommitReply,
  type LedgerDelta,
  type StorageMessage,
  type StorageStats,
  storageKind,
} from '../../actors/storage/contract.ts';
import { StorageLanes } from '../../actors/storage-lanes.ts';
import type { ThreadData } from '../../actors/thread-data.ts';
import {
  type ActorLog,
  formatConfigFaults,
  loadConfig,
  type Runtime,
  RuntimeError,
  startRuntime,
} from '../../runtime/index.ts';
import type { Cleanup } from '../../test/support/cleanup.ts';
import { readLedger } from '../../test/support/ledger.ts';
import { pollUntil } from '../../test/support/poll.ts';
import { openPostgres, type PostgresAddress, workerEntry } from '../../transport/index.ts';
import { UsageError } from '../harness/options.ts';
import type { Check } from '../harness/scenario.ts';
import { encodeRows, sourceId, storedDelta } from './job-frames.ts';
import { type ConsumerControl, consumerDefinition } from './storage-consumer.ts';

const noWorkspace: WorkspaceSnapshot = { version: 1, hash: '', loadedAtMs: 0, sources: [] };
const replyMs = 120_000;
const readyMs = 60_000;
const drainMs = 30_000;
const fullLinkMs = 1;

export interface StorageBenchOptions {
  address: PostgresAddress;
  settings: Settings;
  partitions: number;
  /** Stages that are the product's own, on its actor threads, with the workspace they work by; none without it. */
  stages?: { real: readonly ('processor' | 'router')[]; workspace: WorkspaceSnapshot };
}

/** Rows of one submission, encoded once: a frame that crosses to the storage thread is copied, so they stay as they are. */
export interface RowFrame {
  lane: string;
  rows: Uint8Array;
  count: number;
  /** What the gateway or the processor would count with these rows. */
  ledger: readonly LedgerDelta[];
  /** Set: other rows for each submission, so that no event is a duplicate of one before it. */
  renewed?: () => Uint8Array;
}

/** Warnings of a saturated engine (long turns, late letters at the stop) are what a benchmark is made of. */
const errorsOnly: ActorLog = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: (fields, text) => console.error(`storage: ${text}`, JSON.stringify(fields)),
};

export class StorageBench {
  readonly #runtime: Runtime;
  readonly #options: StorageBenchOptions;
  readonly consumers: ConsumerControl;
  partitions: readonly string[] = [];
  #partitionsMade = 0;

  private constructor(runtime: Runtime, options: StorageBenchOptions, consumers: ConsumerControl) {
    this.#runtime = runtime;
    this.#options = options;
    this.consumers = consumers;
    this.renewPartitions();
  }

  static async start(cleanup: Cleanup, options: StorageBenchOptions): Promise<StorageBench> {
    const consumers: ConsumerControl = {
      isOpen: false,
      forward: undefined,
      done: { gw: 0, rt: 0 },
      disorder: [],
      onDone: () => undefined,
      slots: { gw: options.settings.processor.slots, rt: options.settings.router.slots },
      lanes: options.settings.storage.lanes,
    };
    const threadData: ThreadData = {
      settings: options.settings,
      postgres: options.address,
      instanceId: `bench/${randomUUID()}`,
      workspace: options.stages?.workspace ?? noWorkspace,
      controls: { paused: [], drains: [] },
    };
    const real = options.stages?.real ?? [];
    const replaced = (['processor', 'router'] as const).filter((kind) => !real.includes(kind));
    const isTransforming = options.stages?.workspace.sources.some((source) => source.transformationSetup !== undefined);
    const threadGroups = [
      { role: 'actors', count: options.settings.threads.actors },
      ...(isTransforming === true ? ['sandbox', 'suspects'] : []).map((role) => ({ role, count: 1, expendable: true })),
    ];
    const runtime = await startRuntime({
      entry: workerEntry('./stage-thread', import.meta.url),
      groups: [...(real.length === 0 ? [] : threadGroups), { role: 'storage', count: 1, drainOnly: true }],
      roles: { ...roles, ...Object.fromEntries(replaced.map((kind) => [kind, 'main'])) },
      threadData,
      definitions: replaced.map((kind) => consumerDefinition(kind === 'processor' ? 'gw' : 'rt', consumers)),
      log: errorsOnly,
      onFatal: (error) => {
        throw error;
      },
    });
    const bench = new StorageBench(runtime, options, consumers);
    cleanup.after(() => bench.stop());
    await pollUntil('the storage actor to be ready', () => bench.stats(), readyMs);
    return bench;
  }

  /** Partitions that nobody has open. */
  renewPartitions(): void {
    const first = this.#partitionsMade;
    this.#partitionsMade += this.#options.partitions;
    this.partitions = Array.from({ length: this.#options.partitions }, (_, index) => `partition-${first + index}`);
  }

  /** A frame of `rowsPerFrame` rows for each lane; partitions take turns in it. */
  frames(rowsPerFrame: number, eventBytes: number): RowFrame[] {
    const { lanes } = this.#options.settings.storage;
    return Array.from({ length: Math.min(lanes, this.partitions.length) }, (_, lane) => {
      const own = this.partitions.filter((_partition, index) => index % lanes === lane);
      const ledger = [storedDelta({ queue: 'gw', sourceId, destinationId: '' }, rowsPerFrame)];
      return { lane: String(lane), ledger, ...encodeRows(own, rowsPerFrame, eventBytes) };
    });
  }

  async store(queue: QueueName, { lane, rows, count, ledger, renewed }: RowFrame): Promise<void> {
    const reply = await this.#commit(lane, () => ({
      kind: 'commit',
      jobs: [{ queue, rows: renewed?.() ?? rows, count }],
      results: [],
      ledger: [...ledger],
    }));
    if (reply.kind !== 'committed') throw new Error(`expected a commit, got ${JSON.stringify(reply)}`);
  }

  /** Waits where the link is full, as the gateway does: that is how storage says that it has enough to do. */
  async #commit(lane: string, make: () => StorageMessage): Promise<CommitReply> {
    for (;;) {
      try {
        return await this.#storage(lane).ask<CommitReply>(make(), { timeoutMs: replyMs });
      } catch (error) {
        if (!(error instanceof RuntimeError) || error.code !== 'LINK_OVERLOADED') throw error;
        await setTimeout(fullLinkMs);
      }
    }
  }

  stats(): Promise<StorageStats> {
    return new StorageLanes(this.#options.settings.storage.lanes, this.#runtime).stats();
  }

  async checks(): Promise<Check[]> {
    const postgres = openPostgres({ address: this.#options.address, applicationName: 'bench ledger' });
    try {
      const faults = (await readLedger(postgres)).faults(await this.stats());
      return [
        { name: 'ledger balances', faults },
        { name: 'every job handed on once, in order per partition', faults: this.consumers.disorder },
      ];
    } finally {
      await postgres.close();
    }
  }

  async stop(): Promise<void> {
    await this.#runtime.drain({ deadlineMs: drainMs });
    await this.#runtime.stop();
  }

  #storage(lane: string) {
    return this.#runtime.ref<StorageMessage>(storageKind, lane);
  }
}

export function benchSettings(dataDir: string, productFlags: readonly string[]): Settings {
  const config = loadConfig(settingsSchema, { environment: {}, flags: [`--data.dir=${dataDir}`, ...productFlags] });
  if (!config.ok) throw new UsageError(formatConfigFaults(config.faults));
  return config.settings;
}
