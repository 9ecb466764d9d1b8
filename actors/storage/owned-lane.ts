// Everything that exists while this process owns a lane: its writer (lane.ts), the hand-off of committed jobs to
// consumers, what recovery found unfinished, maintenance, and the inboxes of other processes. Made by taking the lane,
// thrown away whole when the lane is given up or lost.

import type { ActorContext, Metrics, Replier } from '../../runtime/index.ts';
import type { Postgres, PostgresAddress, PostgresError, PostgresSession } from '../../transport/index.ts';
import type { Settings } from '../config.ts';
import { consumerKinds, type QueueName } from '../job.ts';
import { consumerKey } from '../lanes.ts';
import type {
  ClosePartition,
  Commit,
  CommitReply,
  ConsumerMessage,
  OpenPartition,
  PullJobs,
  ReadSeen,
  WakeAll,
} from './contract.ts';
import type { DatasetList } from './dataset-list.ts';
import { DedupTables } from './dedup-tables.ts';
import type { GroupWrite, ImportPosition } from './group.ts';
import type { Fence } from './group-writer.ts';
import { HandOff } from './hand-off.ts';
import { createJobReader } from './job-reader.ts';
import { rowOffsets } from './job-row.ts';
import { Lane } from './lane.ts';
import type { Submission } from './lane-options.ts';
import { startLedgerCheck, startMaintenance, startWatch } from './lane-upkeep.ts';
import { newsSql } from './lease-session.ts';
import { LedgerTotals } from './ledger.ts';
import type { LedgerCheck } from './ledger-check.ts';
import { LedgerTables } from './ledger-tables.ts';
import type { Maintenance } from './maintenance.ts';
import { connectLane, type LaneOwnership } from './ownership.ts';
import type { Partition } from './partition.ts';
import { loadDatasets } from './queues.ts';
import { type RecoveredPartition, recoverLedger, recoverQueue } from './recovery.ts';
import type { CommitFigures } from './stats.ts';

const sweepMs = 1_000;
const readRetryMs = 200;
/** Consumers are asked again this often: what they receive at the wrong moment keeps them from leaving. */
const leaveAgainMs = 250;
/** Beyond the longest delivery. Consumers that have not left then are left behind: what they held comes again elsewhere. */
const leaveGraceMs = 5_000;

export type OwnedMessage =
  | Commit
  | OpenPartition
  | PullJobs
  | ReadSeen
  | ClosePartition
  | WakeAll
  | { kind: 'sweep' }
  | { kind: 'resumeReads' };

export interface OwnedLaneOptions {
  lane: number;
  settings: Settings;
  postgres: Postgres;
  /** Names this process. */
  owner: string;
  /** Schedules `sweep` and `resumeReads` and hands them to `handle`. */
  context: ActorContext<OwnedMessage>;
  figures: CommitFigures;
  /** For maintenance, which has a connection of its own. */
  address: PostgresAddress;
  metrics: Metrics;
  /** Another process has the lane; nothing was or will be written any more. */
  onLost(error: Error): void;
}

/** What the lane gives back with an outcome: whom to answer and which partitions reported. */
interface Waiting {
  replier: Replier;
  reports: Partition[];
  submittedAtMs: number;
}

export class OwnedLane {
  readonly #options: OwnedLaneOptions;
  readonly #context: ActorContext<OwnedMessage>;
  readonly #writer: Lane<Waiting>;
  readonly handOff: HandOff;
  readonly ledger: LedgerTotals;
  readonly datasets: ReadonlyMap<QueueName, DatasetList>;
  readonly maintenance: Maintenance;
  readonly ledgerCheck: LedgerCheck;
  readonly #ledgerTables: LedgerTables;
  readonly #dedupTables: DedupTables;
  readonly #unwatch: () => void;
  /** The last group whose entries `ledger` holds. */
  #lastGroupId: number;
  #readSession: PostgresSession | undefined;
  #isSweeping = false;
  #isOver = false;

  private constructor(
    options: OwnedLaneOptions,
    taken: {
      session: PostgresSession;
      ownership: LaneOwnership;
      datasets: ReadonlyMap<QueueName, DatasetList>;
      ledgerNumbers: number[];
      dedupTables: DedupTables;
      ledger: LedgerTotals;
      recovered: RecoveredPartition[];
    },
  ) {
    this.#options = options;
    this.#context = options.context;
    this.datasets = taken.datasets;
    this.ledger = taken.ledger;
    this.#dedupTables = taken.dedupTables;
    this.handOff = this.#createHandOff();
    this.#ledgerTables = new LedgerTables(taken.ledgerNumbers);
    this.#lastGroupId = taken.ownership.nextJobId - 1;
    this.#writer = this.#createWriter(taken.session, taken.ownership);
    for (const partition of taken.recovered) this.handOff.restore(partition);
    const parts = { writer: this.#writer, handOff: this.handOff, ledger: this.ledger, datasets: this.datasets };
    this.maintenance = startMaintenance(options, {
      ...parts,
      ledgerTables: this.#ledgerTables,
      dedupTables: this.#dedupTables,
    });
    // Once every partition is restored: before that nothing can balance.
    this.ledgerCheck = startLedgerCheck(options, { ...parts, lastGroupId: () => this.#lastGroupId });
    this.#unwatch = startWatch(options, this.#writer, (error) => this.#lost(error));
  }

  /** Rejects with LaneOwnedError when somebody else owns it. Nobody is woken yet. */
  static async take(options: OwnedLaneOptions): Promise<OwnedLane> {
    const { session, ownership } = await connectLane(options);
    try {
      const { datasets, ledgerNumbers } = await loadDatasets(session, options.lane);
      const ledger = new LedgerTotals(await recoverLedger(session, options.lane, ledgerNumbers));
      const dedupTables = await DedupTables.recover(session, options.lane);
      const recovered: RecoveredPartition[] = [];
      for (const [queue, list] of datasets) recovered.push(...(await recoverQueue(session, queue, list.all)));
      return new OwnedLane(options, { session, ownership, datasets, ledgerNumbers, dedupTables, ledger, recovered });
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  get lane(): { connected: boolean } {
    return this.#writer;
  }

  get epoch(): number {
    return this.#writer.fence.epoch;
  }

  get fence(): Fence {
    return this.#writer.fence;
  }

  /** Wakes the consumers of what recovery found. */
  begin(): void {
    this.handOff.sweep();
    this.#sweepLater();
  }

  handle(message: OwnedMessage): void {
    switch (message.kind) {
      case 'commit':
        this.commit(message, this.#context.replier());
        return;
      case 'openPartition':
        this.handOff.open(message.queue, message.partition, message.session);
        return;
      case 'pullJobs':
        this.handOff.pull(message.queue, message.partition, message.session, message.slots);
        return;
      case 'readSeen':
        void this.#dedupTables.answer(this.#options.postgres, message, this.#context.replier());
        return;
      case 'closePartition':
        this.handOff.close(message);
        this.#sweepLater();
        return;
      case 'wakeAll':
        this.handOff.wakeAll();
        return;
      case 'sweep':
        this.#isSweeping = false;
        this.handOff.sweep();
        this.#sweepLater();
        return;
      case 'resumeReads':
        this.handOff.resume();
        return;
    }
  }

  /** `imported`: it comes from an inbox and moves its position on. */
  commit(commit: Commit, replier: Replier, imported?: ImportPosition): void {
    if (!commit.results.every((results) => this.handOff.arrives(results))) {
      replier.reply({ kind: 'stale' } satisfies CommitReply);
      return;
    }
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
      const report = this.handOff.beginReport(queue, partition, session, jobIds);
      if (report === undefined) {
        for (const begun of reports) this.handOff.endReport(begun, [], [], false);
        replier.reply({ kind: 'stale' } satisfies CommitReply);
        return;
      }
      reports.push(report);
    }
    const rows = offsets.reduce((sum, one) => sum + one.length - 1, 0) + commit.results.length + commit.ledger.length;
    const bytes = commit.jobs.reduce((sum, one) => sum + one.rows.byteLength, 0);
    const tag = { replier, reports, submittedAtMs: this.#context.clock.monotonicMs() };
    const submission = { commit, offsets, rows, bytes, deadlineMs: replier.deadlineMs, tag };
    this.#writer.submit(imported === undefined ? submission : { ...submission, imported });
  }

  /** One round of maintenance and of the ledger's check now; resolves when it is done. */
  async maintain(): Promise<void> {
    await Promise.all([this.maintenance.run(), this.ledgerCheck.run()]);
  }

  /** Lets consumers finish and gives the lane up: afterwards its lock is free. */
  async give(): Promise<void> {
    this.handOff.isPaused = true;
    const { clock } = this.#context;
    const untilMs = clock.monotonicMs() + this.#options.settings.router.httpTimeoutMs + leaveGraceMs;
    while (this.#askToLeave(false) > 0 && clock.monotonicMs() < untilMs) await this.#delay(leaveAgainMs);
    this.#askToLeave(true);
    await this.close(true);
  }

  /** `afterDrain` false: at once, whatever is in flight. */
  async close(afterDrain: boolean): Promise<void> {
    // Commits in flight are still answered while the lane drains.
    if (!afterDrain) this.#isOver = true;
    this.#unwatch();
    this.maintenance.stop();
    await this.ledgerCheck.stop();
    await this.#writer.close(afterDrain);
    this.#isOver = true;
    await this.#readSession?.close();
    // Whoever waits for the lane looks at once; without this, with his next look.
    if (afterDrain) await this.#options.postgres.query(newsSql({ kind: 'freed' })).catch(() => undefined);
  }

  #createHandOff(): HandOff {
    const { handOffBytesMax, readRowsMax, readBytesMax } = this.#options.settings.storage;
    return new HandOff({
      reader: createJobReader({ session: () => this.#reader(), datasets: this.datasets }),
      hand: (queue, partition, message) =>
        this.#consumer(queue, partition).tell(this.#dedupTables.mark(queue, partition, message)),
      wake: (queue, partition) => void this.#consumer(queue, partition).tell({ kind: 'jobsReady' }),
      watermark: () => this.#writer.watermark,
      nowMs: () => this.#context.clock.nowMs(),
      onReadFailed: (error) => this.#readFailed(error),
      bytesMax: handOffBytesMax,
      readRowsMax,
      readBytesMax,
    });
  }

  #createWriter(session: PostgresSession, ownership: LaneOwnership): Lane<Waiting> {
    session.onBroken(() => this.#writer.revive());
    return new Lane<Waiting>(
      {
        connect: async (before) => {
          const taken = await connectLane(this.#options, before);
          taken.session.onBroken(() => this.#writer.revive());
          return taken;
        },
        datasets: this.datasets,
        ledgerNumber: () => this.#ledgerTables.current,
        dedupTable: () => this.#dedupTables.current,
        onCommitted: (group, submissions) => this.#committed(group, submissions),
        onRefused: (submission, error) => this.#refused(submission, error),
        onBehind: (submission) => this.#behind(submission),
        onExpired: ({ tag }) => tag.replier.fail(new Error('expected to be written before the deadline of the ask')),
        onDropped: ({ tag }, error) => tag.replier.fail(error),
        onFenced: (error) => this.#lost(error),
        onTrouble: (error) => this.#trouble(error),
        nowMs: () => this.#context.clock.nowMs(),
        delay: (ms) => this.#delay(ms),
        ...this.#options.settings.storage,
      },
      session,
      ownership,
    );
  }

  #committed(group: GroupWrite, submissions: readonly Submission<Waiting>[]): void {
    if (this.#isOver) return;
    const touched = new Set<Partition>();
    for (const { queue, partition, row } of group.placed) touched.add(this.handOff.stored(queue, partition, row));
    for (const delta of group.ledger) this.ledger.add(delta);
    this.#lastGroupId = group.groupId;
    const now = this.#context.clock.monotonicMs();
    for (const { commit, tag } of submissions) {
      for (const [index, results] of commit.results.entries()) {
        const { runs, statuses } = results;
        const report = tag.reports[index];
        if (report === undefined) continue;
        // Before the hand-off goes on: the next session of the partition is told of it.
        this.#dedupTables.committed(results);
        const jobIds = runs.flatMap((run) => run.jobIds);
        this.handOff.endReport(report, jobIds, statuses, true);
      }
      this.#options.figures.committed(now - tag.submittedAtMs);
      tag.replier.reply({ kind: 'committed' } satisfies CommitReply);
    }
    this.#options.figures.group(submissions.length, group.rows, group.bytes);
    this.#ledgerTables.written(group.ledger.length);
    this.handOff.serve(touched);
    this.#sweepLater();
  }

  #behind(submission: Submission<Waiting>): void {
    this.#giveBack(submission);
    submission.tag.replier.reply({ kind: 'behind' } satisfies CommitReply);
  }

  #giveBack(submission: Submission<Waiting>): void {
    for (const report of submission.tag.reports) this.handOff.endReport(report, [], [], false);
  }

  #refused(submission: Submission<Waiting>, error: PostgresError): void {
    this.#giveBack(submission);
    this.#context.log.error({ sqlState: error.sqlState }, `a commit was refused by Postgres: ${error.message}`);
    submission.tag.replier.reply(refusal(error.message, error.sqlState));
  }

  #lost(error: Error): void {
    this.handOff.isPaused = true;
    this.#askToLeave(true);
    this.#options.onLost(error);
  }

  /** How many consumers still have a partition open. */
  #askToLeave(isLost: boolean): number {
    let open = 0;
    for (const { queue, key, session } of this.handOff.attended()) {
      open += 1;
      this.#consumer(queue, key).tell({ kind: 'leavePartition', session, isLost });
    }
    return open;
  }

  #trouble(error: Error): void {
    this.#options.figures.trouble(error, this.#context.clock.monotonicMs());
    this.#context.log.warn(
      { lane: this.#options.lane },
      `Postgres does not take commits, trying again: ${error.message}`,
    );
  }

  #readFailed(error: Error): void {
    this.#options.figures.trouble();
    this.#context.log.warn({ lane: this.#options.lane }, `a backlog read failed, trying again: ${error.message}`);
    this.#context.schedule('resumeReads', readRetryMs, { kind: 'resumeReads' });
  }

  #sweepLater(): void {
    if (this.#isSweeping || this.#isOver || !this.handOff.hasUnattended) return;
    this.#isSweeping = true;
    this.#context.schedule('sweep', sweepMs, { kind: 'sweep' });
  }

  #consumer(queue: QueueName, partition: string) {
    const key = consumerKey(this.#options.lane, partition, this.#options.settings.storage.lanes);
    return this.#context.ref<ConsumerMessage>(consumerKinds[queue], key);
  }

  #delay(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#context.clock.setTimer(ms, resolve));
  }

  async #reader(): Promise<PostgresSession> {
    if (this.#readSession === undefined || this.#readSession.broken !== undefined) {
      this.#readSession = await this.#options.postgres.session();
    }
    return this.#readSession;
  }
}

function refusal(reason: string, sqlState = ''): CommitReply {
  return { kind: 'refused', reason, sqlState };
}
