// The only actor that talks to the job tables. It funnels everybody's commits into groups (lane.ts), hands committed
// jobs on from memory (hand-off.ts), and knows after a start what was left unfinished (recovery.ts). Its handlers only
// enqueue: no message ever waits for Postgres, its sender does.

import { type ActorContext, type ActorDefinition, defineActor, type Replier } from '../../runtime/index.ts';
import { openPostgres, type Postgres, type PostgresError, type PostgresSession } from '../../transport/index.ts';
import type { Environment } from '../environment.ts';
import { consumerKinds, type QueueName } from '../job.ts';
import { consumerKey } from '../lanes.ts';
import { type ProcessFailed, processKey, processKind } from '../process-actor.ts';
import type { Commit, CommitReply, ConsumerMessage, JobsFound, StorageMessage, WantedJobs } from './contract.ts';
import { storageKind } from './contract.ts';
import type { DatasetList } from './dataset-list.ts';
import type { GroupWrite } from './group.ts';
import { HandOff } from './hand-off.ts';
import { findJobs } from './job-lookup.ts';
import { createJobReader } from './job-reader.ts';
import { rowOffsets } from './job-row.ts';
import { Lane, type Submission } from './lane.ts';
import { LedgerTotals } from './ledger.ts';
import { LedgerCheck } from './ledger-check.ts';
import { LedgerTables } from './ledger-tables.ts';
import { Maintenance, type MaintenanceOptions } from './maintenance.ts';
import { type LaneOwnership, takeLane } from './ownership.ts';
import type { Partition } from './partition.ts';
import { loadDatasets, readDatasets } from './queues.ts';
import { recoverLedger, recoverQueue } from './recovery.ts';
import { CommitFigures, collectStats, type ServerFacts, serverFacts } from './stats.ts';

const sweepMs = 1_000;
const readRetryMs = 200;
/** Rows and replies for everybody: a mailbox for what arrives during one long handler, not for a backlog. */
const mailbox = { capacity: 65_536, bytesMax: 512 * 1024 * 1024 };

type Inner = StorageMessage | { kind: 'sweep' } | { kind: 'resumeReads' };

/** What the lane gives back with an outcome: whom to answer and which partitions reported. */
interface Waiting {
  replier: Replier;
  reports: Partition[];
  submittedAtMs: number;
}

export function storageDefinition(environment: Environment): ActorDefinition<Inner> {
  return defineActor<Inner>({
    kind: storageKind,
    role: 'storage',
    priority: 'interactive',
    mailbox,
    idleMs: 0,
    create(context) {
      const storage = new Storage(environment, context);
      return {
        onStart: () => storage.start(),
        onMessage: (message) => storage.handle(message),
        onStop: (reason) => storage.stop(reason === 'drain' || reason === 'migrating'),
      };
    },
  });
}

/** Everything that exists once the lane is ours. */
interface Running {
  lane: Lane<Waiting>;
  handOff: HandOff;
  ledger: LedgerTotals;
  ledgerTables: LedgerTables;
  maintenance: Maintenance;
  server: ServerFacts;
  datasets: ReadonlyMap<QueueName, DatasetList>;
}

class Storage {
  readonly #environment: Environment;
  readonly #context: ActorContext<Inner>;
  readonly #figures: CommitFigures;
  readonly #postgres: Postgres;
  readonly #laneNumber: number;
  #running: Running | undefined;
  #readSession: PostgresSession | undefined;
  #ledgerCheck: LedgerCheck | undefined;
  /** The last group whose entries `ledger` holds. */
  #lastGroupId = 0;
  #sweeping = false;

  constructor(environment: Environment, context: ActorContext<Inner>) {
    this.#environment = environment;
    this.#context = context;
    this.#laneNumber = Number(context.key);
    this.#figures = new CommitFigures(environment.telemetry.metrics);
    this.#postgres = openPostgres({
      address: environment.postgres,
      applicationName: `sluice storage ${context.key}`,
      statementTimeoutMs: environment.settings.postgres.statementTimeoutMs,
      connectTimeoutMs: environment.settings.postgres.connectTimeoutMs,
    });
  }

  /** A start that fails half-way leaves nothing behind: above all not the lane, which the next attempt must get. */
  async start(): Promise<void> {
    let session: PostgresSession | undefined;
    try {
      const connected = await this.#connect();
      session = connected.session;
      await this.#begin(connected);
    } catch (error) {
      await session?.close();
      await this.#postgres.close();
      throw error;
    }
  }

  async #begin({ session, ownership }: { session: PostgresSession; ownership: LaneOwnership }): Promise<void> {
    const { datasets, ledgerNumbers } = await loadDatasets(session, this.#laneNumber);
    this.#lastGroupId = ownership.nextJobId - 1;
    const ledger = new LedgerTotals(await recoverLedger(session, this.#laneNumber, ledgerNumbers));
    const settings = this.#environment.settings.storage;
    const handOff = new HandOff({
      reader: createJobReader({ session: () => this.#reader(), datasets }),
      hand: (queue, partition, message) => this.#consumer(queue, partition).tell(message),
      wake: (queue, partition) => void this.#consumer(queue, partition).tell({ kind: 'jobsReady' }),
      watermark: () => this.#lane().watermark,
      nowMs: () => this.#context.clock.nowMs(),
      onReadFailed: (error) => this.#readFailed(error),
      bytesMax: settings.handOffBytesMax,
      readRowsMax: settings.readRowsMax,
      readBytesMax: settings.readBytesMax,
    });
    const ledgerTables = new LedgerTables(ledgerNumbers);
    const writer = new Lane<Waiting>(
      {
        connect: () => this.#connect(),
        datasets,
        ledgerNumber: () => ledgerTables.current,
        onCommitted: (group, submissions) => this.#committed(group, submissions),
        onRefused: (submission, error) => this.#refused(submission, error),
        onExpired: ({ tag }) => tag.replier.fail(new Error('expected to be written before the deadline of the ask')),
        onFenced: (error) => this.#fenced(error),
        onTrouble: (error) => this.#trouble(error),
        nowMs: () => this.#context.clock.nowMs(),
        delay: (ms) => new Promise((resolve) => void this.#context.clock.setTimer(ms, resolve)),
        ...settings,
      },
      session,
      ownership,
    );
    const server = await serverFacts(session);
    for (const [queue, list] of datasets) {
      for (const partition of await recoverQueue(session, queue, list.all)) handOff.restore(partition);
    }
    const maintenance = this.#startMaintenance({ lane: writer, handOff, datasets, ledgerTables });
    this.#running = { lane: writer, handOff, ledger, ledgerTables, maintenance, server, datasets };
    this.#ledgerCheck = this.#checkLedger(this.#running);
    handOff.sweep();
    this.#sweepLater();
  }

  #startMaintenance(parts: Pick<MaintenanceOptions, 'lane' | 'handOff' | 'datasets' | 'ledgerTables'>): Maintenance {
    const { postgres: address, settings, telemetry } = this.#environment;
    return new Maintenance({
      ...parts,
      postgres: {
        address,
        applicationName: `sluice maintenance ${this.#context.key}`,
        connectTimeoutMs: settings.postgres.connectTimeoutMs,
      },
      settings: settings.storage,
      context: this.#context,
      metrics: telemetry.metrics,
    });
  }

  handle(message: Inner): void {
    const running = this.#running;
    if (running === undefined) throw new Error('expected the storage actor to be started');
    const { handOff } = running;
    switch (message.kind) {
      case 'commit':
        this.#commit(running, message);
        return;
      case 'openPartition':
        handOff.open(message.queue, message.partition, message.session);
        return;
      case 'pullJobs':
        handOff.pull(message.queue, message.partition, message.session, message.slots);
        return;
      case 'closePartition':
        handOff.close(message);
        this.#sweepLater();
        return;
      case 'getStats':
        this.#context.reply(collectStats(running, this.#figures, this.#ledgerCheck?.alarm ?? ''));
        return;
      case 'maintain': {
        const replier = this.#context.replier();
        const rounds = Promise.all([running.maintenance.run(), this.#ledgerCheck?.run()]);
        void rounds.then(() => replier.reply({ kind: 'maintained' }));
        return;
      }
      case 'lookUpJobs':
        this.#lookUp(handOff, message.wanted);
        return;
      case 'wakeAll':
        handOff.wakeAll();
        return;
      case 'sweep':
        this.#sweeping = false;
        handOff.sweep();
        this.#sweepLater();
        return;
      case 'resumeReads':
        handOff.resume();
        return;
    }
  }

  async stop(afterDrain: boolean): Promise<void> {
    const running = this.#running;
    // Commits in flight are still answered while the lane drains.
    if (!afterDrain) this.#running = undefined;
    running?.maintenance.stop();
    await this.#ledgerCheck?.stop();
    await running?.lane.close(afterDrain);
    this.#running = undefined;
    await this.#readSession?.close();
    await this.#postgres.close();
  }

  #lookUp(handOff: HandOff, wanted: WantedJobs): void {
    const replier = this.#context.replier();
    const found = this.#postgres.withSession((session) => findJobs(session, wanted, this.#laneNumber));
    void found.then(
      (jobs) => {
        for (const job of jobs) job.isHandedOut = handOff.isHandedOut(job.queue, job.partition, job.jobId);
        replier.reply({ kind: 'jobsFound', jobs } satisfies JobsFound);
      },
      (error: unknown) => replier.reply({ kind: 'lookUpFailed', reason: String(error) } satisfies JobsFound),
    );
  }

  /** Once every partition is restored: before that nothing can balance. */
  #checkLedger({ handOff, ledger }: Running): LedgerCheck {
    const lane = this.#laneNumber;
    return new LedgerCheck({
      lane,
      totals: ledger,
      pending: () => ({
        sources: handOff.pending('gw'),
        destinations: handOff.pending('rt') + handOff.pending('batch_rt'),
      }),
      lastGroupId: () => this.#lastGroupId,
      readTables: (lastGroupId) =>
        this.#postgres.withSession(async (session) => {
          const { ledgerNumbers } = await readDatasets(session, lane);
          return await recoverLedger(session, lane, ledgerNumbers, lastGroupId);
        }),
      tablesMs: this.#environment.settings.storage.ledgerCheckMs,
      metrics: this.#environment.telemetry.metrics,
      clock: this.#context.clock,
      log: this.#context.log,
    });
  }

  #commit({ handOff, lane }: Running, commit: Commit): void {
    const replier = this.#context.replier();
    let offsets: number[][];
    try {
      offsets = commit.jobs.map(({ rows }) => rowOffsets(rows));
    } catch (error) {
      replier.reply(refusal(error instanceof Error ? error.message : String(error)));
      return;
    }
    const reports: Partition[] = [];
    for (const { queue, partition, session, runs, statuses } of commit.results) {
      const jobIds = [...runs.flatMap((run) => run.jobIds), ...statuses.map((status) => status.jobId)];
      const report = handOff.beginReport(queue, partition, session, jobIds);
      if (report === undefined) {
        for (const begun of reports) handOff.endReport(begun, [], [], false);
        replier.reply({ kind: 'stale' } satisfies CommitReply);
        return;
      }
      reports.push(report);
    }
    const rows = offsets.reduce((sum, one) => sum + one.length - 1, 0) + commit.results.length + commit.ledger.length;
    const bytes = commit.jobs.reduce((sum, one) => sum + one.rows.byteLength, 0);
    const tag = { replier, reports, submittedAtMs: this.#context.clock.monotonicMs() };
    lane.submit({ commit, offsets, rows, bytes, deadlineMs: replier.deadlineMs, tag });
  }

  #committed(group: GroupWrite, submissions: readonly Submission<Waiting>[]): void {
    const running = this.#running;
    if (running === undefined) return;
    const { handOff, ledger } = running;
    const touched = new Set<Partition>();
    for (const { queue, partition, row } of group.placed) touched.add(handOff.stored(queue, partition, row));
    for (const delta of group.ledger) ledger.add(delta);
    this.#lastGroupId = group.groupId;
    const now = this.#context.clock.monotonicMs();
    for (const { commit, tag } of submissions) {
      for (const [index, { runs, statuses }] of commit.results.entries()) {
        const report = tag.reports[index];
        if (report !== undefined)
          handOff.endReport(
            report,
            runs.flatMap((run) => run.jobIds),
            statuses,
            true,
          );
      }
      this.#figures.committed(now - tag.submittedAtMs);
      tag.replier.reply({ kind: 'committed' } satisfies CommitReply);
    }
    this.#figures.group(submissions.length, group.rows, group.bytes);
    running.ledgerTables.written(group.ledger.length);
    handOff.serve(touched);
    this.#sweepLater();
  }

  #refused(submission: Submission<Waiting>, error: PostgresError): void {
    this.#giveBack(submission);
    this.#context.log.error({ sqlState: error.sqlState }, `a commit was refused by Postgres: ${error.message}`);
    submission.tag.replier.reply(refusal(error.message, error.sqlState));
  }

  #giveBack(submission: Submission<Waiting>): void {
    for (const report of submission.tag.reports) this.#running?.handOff.endReport(report, [], [], false);
  }

  #fenced(error: Error): void {
    this.#context.log.error(
      { lane: this.#laneNumber },
      `this process lost its lane and stops writing: ${error.message}`,
    );
    this.#context.ref<ProcessFailed>(processKind, processKey).tell({ kind: 'processFailed', reason: error.message });
  }

  #trouble(error: Error): void {
    this.#figures.trouble();
    this.#context.log.warn(
      { lane: this.#laneNumber },
      `Postgres does not take commits, trying again: ${error.message}`,
    );
  }

  #readFailed(error: Error): void {
    this.#figures.trouble();
    this.#context.log.warn({ lane: this.#laneNumber }, `a backlog read failed, trying again: ${error.message}`);
    this.#context.schedule('resumeReads', readRetryMs, { kind: 'resumeReads' });
  }

  #sweepLater(): void {
    if (this.#sweeping || this.#running?.handOff.hasUnattended !== true) return;
    this.#sweeping = true;
    this.#context.schedule('sweep', sweepMs, { kind: 'sweep' });
  }

  #consumer(queue: QueueName, partition: string) {
    const key = consumerKey(this.#laneNumber, partition, this.#environment.settings.storage.lanes);
    return this.#context.ref<ConsumerMessage>(consumerKinds[queue], key);
  }

  async #connect() {
    const session = await this.#postgres.session();
    try {
      const ownership = await takeLane(session, this.#laneNumber, this.#environment.instanceId);
      return { session, ownership };
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  #lane(): Lane<Waiting> {
    if (this.#running === undefined) throw new Error('expected the storage actor to be started');
    return this.#running.lane;
  }

  async #reader(): Promise<PostgresSession> {
    if (this.#readSession === undefined || this.#readSession.broken !== undefined) {
      this.#readSession = await this.#postgres.session();
    }
    return this.#readSession;
  }
}

function refusal(reason: string, sqlState = ''): CommitReply {
  return { kind: 'refused', reason, sqlState };
}
