// The archive of one source: collects what waits in its partition of the queue `arc`, writes it to object storage as one
// object for each hour, and ends the jobs of an object in one commit once it is written.
//
//   asleep --due, or woken by a job--> collecting --a moment of quiet, or full--> writing --written--> committing
//     ^-- nothing is due: no job wakes it before --/            \--failed--> asleep, and again later   \--> collecting
//
// Asleep it holds nothing: what waits is in the database. While the storage is away events wait there for a day at most,
// so that an archive nobody looks after does not fill the disk.

import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { ActorContext, Counter, StopReason } from '../../runtime/index.ts';
import type { Environment } from '../environment.ts';
import { consumerPlace } from '../lanes.ts';
import type { ObjectStorage } from '../object-storage/contract.ts';
import { type ObservingSettings, observingOf } from '../observations/observing.ts';
import { processKey, processKind } from '../process-actor.ts';
import type { SourceConfig } from '../services/workspace.ts';
import type { JobStatus } from '../storage/contract.ts';
import { collectResults, type FinishedJob } from '../storage/done-runs.ts';
import { type BytesBudget, bytesOf, type HandedJob, PartitionSession } from '../storage/partition-session.ts';
import { type ArchiveFile, archiveFiles, archiveLines } from './archive-file.ts';
import { type ArchiverMessage, type ArchiveTold, archiveControlId } from './contract.ts';

const compress = promisify(gzip);

export interface ArchiverShared {
  budget: BytesBudget;
  /** Throws ObjectStorageError when there is no place that can be one. */
  storageOf(source: SourceConfig): ObjectStorage;
}

const collectedTimer = 'collected';
/** Hand-outs of a backlog follow each other faster than this. */
const quietMs = 200;
const givenUp: Pick<JobStatus, 'code' | 'state'> = { code: 410, state: 'aborted' };

export class Archiver {
  readonly #context: ActorContext<ArchiverMessage>;
  readonly #environment: Environment;
  readonly #shared: ArchiverShared;
  readonly #session: PartitionSession<ArchiverMessage>;
  readonly #sourceId: string;
  readonly #objects: Counter;
  readonly #events: Counter;
  readonly #failures: Counter;
  /** Ascending. */
  #held: HandedJob[] = [];
  #heldBytes = 0;
  #writing: ArchiveFile | undefined;
  /** Resolves to why the object was not written; '' when it was. */
  #underWay: Promise<string> = Promise.resolve('');
  /** Jobs of the commit under way, by its ticket. */
  #committing: { ticket: number; jobs: HandedJob[] } | undefined;
  #restUntilMs = 0;

  constructor(context: ActorContext<ArchiverMessage>, environment: Environment, shared: ArchiverShared) {
    this.#context = context;
    this.#environment = environment;
    this.#shared = shared;
    const { settings, workspace, telemetry } = environment;
    this.#sourceId = consumerPlace(context.key, settings.storage.lanes).partition;
    const { metrics } = telemetry;
    this.#objects = metrics.counter('sluice_archive_objects_total', 'Objects written to archives');
    this.#events = metrics.counter('sluice_archive_events_total', 'Events in them, and those that were given up');
    this.#failures = metrics.counter('sluice_archive_failures_total', 'Objects that could not be written for now');
    this.#session = new PartitionSession(context, {
      queue: 'arc',
      lanes: settings.storage.lanes,
      slots: settings.archival.eventsMax,
      budget: shared.budget,
      commitTimeoutMs: settings.postgres.statementTimeoutMs * 2,
      isReady: () => workspace.current.snapshot.version > 0,
    });
  }

  open(): void {
    this.#session.open();
    this.#lookSoon();
  }

  receive(message: ArchiverMessage): void {
    switch (message.kind) {
      case 'jobsReady':
        this.#session.wake();
        return;
      case 'openSession':
        this.#session.open();
        this.#lookSoon();
        return;
      case 'checkSession':
        this.#session.check();
        return;
      case 'leavePartition':
        if (this.#session.leave(message)) this.#forget();
        return;
      case 'jobs':
        this.#take(this.#session.accept(message));
        return;
      case 'collected':
        this.#look(false);
        return;
      case 'archiveWritten':
        this.#written(message.outcome.ok ? '' : message.outcome.error.message);
        return;
      case 'commitSettled':
        this.#settle(this.#session.settle(message), message.ticket);
    }
  }

  /** What is being written is written to its end, so that whoever comes next need not do it again. */
  async stop(reason: StopReason): Promise<void> {
    const file = this.#writing;
    const isOrderly = reason !== 'restart' && reason !== 'parked';
    if (isOrderly && file !== undefined && (await this.#underWay) === '' && this.#session.isOpen) {
      await this.#session.commitAndWait({ jobs: [], ledger: [], ...collectResults(finishedOf(file.jobs, undefined)) });
    }
    await this.#session.settled();
    this.#session.close(this.#restUntilMs, this.#restUntilMs > 0);
  }

  #take(handed: readonly HandedJob[] | undefined): void {
    if (handed === undefined) {
      if (!this.#session.isOpen) this.#forget();
      return;
    }
    for (const one of handed) {
      this.#held.push(one);
      this.#heldBytes += bytesOf(one.job);
    }
    const { eventsMax, bytesMax } = this.#environment.settings.archival;
    if (this.#held.length >= eventsMax || this.#heldBytes >= bytesMax) this.#look(true);
    else this.#lookSoon();
  }

  #lookSoon(): void {
    this.#context.schedule(collectedTimer, quietMs, { kind: 'collected' });
  }

  /** Writes when it is time, sleeps when it is not. */
  #look(isFull: boolean): void {
    if (this.#writing !== undefined || this.#committing !== undefined || !this.#session.isOpen) return;
    const [oldest] = this.#held;
    if (oldest === undefined) {
      this.#sleep(0);
      return;
    }
    const { settings, workspace, controls } = this.#environment;
    const source = workspace.current.sourceById(this.#sourceId);
    if (source === undefined || !isWanted(source, settings)) {
      this.#giveUp(this.#held, 'the workspace wants no archive any more');
      return;
    }
    const nowMs = this.#context.clock.nowMs();
    const { everyMs, retryMs } = settings.archival;
    if (controls.isPaused(archiveControlId(this.#sourceId))) {
      this.#sleep(nowMs + retryMs);
      return;
    }
    const dueMs = oldest.job.receivedAtMs + everyMs;
    if (isFull || nowMs >= dueMs) this.#write(source);
    // A receipt in the future, by a clock that was wrong, must not put the archive off for ever.
    else this.#sleep(Math.min(dueMs, nowMs + everyMs));
  }

  #write(source: SourceConfig): void {
    const [file] = archiveFiles(this.#sourceId, this.#held);
    if (file === undefined) return;
    this.#writing = file;
    const put = this.#put(source, file);
    this.#underWay = put.then(() => '', String);
    this.#context.pipeToSelf(put, (outcome) => ({ kind: 'archiveWritten', outcome }));
    // An actor with a timer is not put away: nothing may be written that another one writes at the same time.
    this.#context.schedule(collectedTimer, this.#environment.settings.archival.timeoutMs * 2, { kind: 'collected' });
  }

  async #put(source: SourceConfig, { key, jobs }: ArchiveFile): Promise<void> {
    const storage = this.#shared.storageOf(source);
    await storage.put(key, await compress(archiveLines(jobs)), 'application/gzip');
  }

  #written(failure: string): void {
    const file = this.#writing;
    this.#writing = undefined;
    if (file === undefined) return;
    this.#tell(file, failure);
    if (failure === '') {
      this.#objects.add(1);
      this.#events.add(file.jobs.length, { outcome: 'archived' });
      this.#commit(file.jobs, undefined);
      return;
    }
    this.#failures.add(1);
    this.#context.log.warn(
      { sourceId: this.#sourceId, reason: failure },
      'an archive could not be written; it is tried again',
    );
    const { retryMs, keepMs } = this.#environment.settings.archival;
    const nowMs = this.#context.clock.nowMs();
    const old = this.#held.filter(({ job }) => nowMs - job.receivedAtMs > keepMs);
    if (old.length > 0) this.#giveUp(old, `the archive could not be written for too long: ${failure}`);
    else this.#sleep(nowMs + retryMs);
  }

  #giveUp(jobs: readonly HandedJob[], reason: string): void {
    this.#events.add(jobs.length, { outcome: 'given up' });
    this.#commit(jobs, JSON.stringify({ reason }));
  }

  /** `response` undefined: they are archived. */
  #commit(jobs: readonly HandedJob[], response: string | undefined): void {
    if (!this.#session.isOpen) return;
    const ended = response === undefined ? undefined : { response, nowMs: this.#context.clock.nowMs() };
    const ticket = this.#session.commit({ jobs: [], ledger: [], ...collectResults(finishedOf(jobs, ended)) });
    this.#committing = { ticket, jobs: [...jobs] };
  }

  #settle(verdict: 'committed' | 'refused' | 'behind' | 'lost', ticket: number): void {
    if (verdict === 'lost') {
      if (!this.#session.isOpen) this.#forget();
      return;
    }
    const committing = this.#committing;
    if (committing?.ticket !== ticket) return;
    this.#committing = undefined;
    if (verdict !== 'committed') {
      this.#session.lose('storage refuses plain results');
      this.#forget();
      return;
    }
    const done = new Set(committing.jobs.map(({ job }) => job.jobId));
    this.#held = this.#held.filter(({ job }) => !done.has(job.jobId));
    const bytes = committing.jobs.reduce((sum, { job }) => sum + bytesOf(job), 0);
    this.#heldBytes -= bytes;
    this.#session.release(done.size, bytes);
    this.#lookSoon();
  }

  /** `untilMs` 0: until the next job. */
  #sleep(untilMs: number): void {
    this.#restUntilMs = untilMs;
    this.#context.passivate();
  }

  #tell({ key, jobs }: ArchiveFile, failure: string): void {
    const told: ArchiveTold = { kind: 'archiveTold', sourceId: this.#sourceId, key, events: jobs.length, failure };
    this.#context.ref<ArchiveTold>(processKind, processKey).tell(told);
  }

  /** The session is gone: what was held comes again. What is being written is replaced then. */
  #forget(): void {
    this.#held = [];
    this.#heldBytes = 0;
    this.#writing = undefined;
    this.#committing = undefined;
  }
}

function isWanted(source: SourceConfig, settings: ObservingSettings): boolean {
  return observingOf(source, settings).archive;
}

/** `ended` undefined: they are archived. */
function finishedOf(jobs: readonly HandedJob[], ended: { response: string; nowMs: number } | undefined): FinishedJob[] {
  return jobs.map(({ job: { jobId }, afterId }) => {
    const status = ended === undefined ? undefined : statusOf(jobId, ended.response, ended.nowMs);
    return { jobId, afterId, status };
  });
}

function statusOf(jobId: number, response: string, nowMs: number): JobStatus {
  const times = { execTimeMs: nowMs, retryTimeMs: 0, firstAttemptedAtMs: nowMs };
  return { jobId, ...givenUp, attempt: 1, response, ...times };
}
