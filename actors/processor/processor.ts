// The work of one processor, for one partition: pulls `gw` jobs, runs the pipeline over them, and commits what they
// became together with the fact that they are done. Order of events is the order of commits, so all of it is a line:
//
//   waiting --process--> building --commit--> in flight (two at most, in order) --committed--> gone, slots pulled anew
//                                                  |--refused--> pieces: halves, one commit at a time, until the event
//                                                  |             that Postgres refuses is alone; it is aborted
//                                                  |--behind---> not tried, since the one before it was refused: a piece
//                                                  \--lost-----> everything is forgotten, the session is opened anew
//
// Where a source is hydrated or a destination has customers' code, a slice first waits for those (slice.ts).
// While commits are in flight results gather in `building`: batches grow with load and need no timer.
// Rows are made so that Postgres takes them (text is JSON-escaped, ids were stored before), so that it needs a fault of
// ours for a refusal to happen at all.

import type { ActorContext, StopReason } from '../../runtime/index.ts';
import type { Environment } from '../environment.ts';
import type { LedgerDelta } from '../storage/contract.ts';
import {
  type BytesBudget,
  bytesOf,
  type CommitSettled,
  type HandedJob,
  PartitionSession,
} from '../storage/partition-session.ts';
import type { ProcessorMessage } from './contract.ts';
import { Dedup, type DedupShared } from './dedup.ts';
import { readParameters } from './event-text.ts';
import { Hydration, type HydrationService } from './hydration.ts';
import { abortRefused, type PipelineContext, processJob } from './pipeline.ts';
import { PipelineBatch } from './pipeline-batch.ts';
import { SeenReader } from './seen-reader.ts';
import { Slice } from './slice.ts';
import type { SourcePlans } from './source-plan.ts';
import { UserTransforms } from './user-transforms.ts';

/** One slice: about two milliseconds of work at 25 to 30 µs per event of 1 KB. */
const sliceJobsMax = 64;
const sliceBytesMax = 128 * 1024;
const commitsInFlightMax = 2;
/** Rows waiting for a commit beyond this stop the processing until one has ended. */
const buildingBytesMax = 4 * 1024 * 1024;
const rowBytesExpected = 700;

/** What all processors of a thread have in common. */
export interface Shared {
  plans: SourcePlans;
  budget: BytesBudget;
  dedup: DedupShared;
  /** For metrics. */
  count(ledger: readonly LedgerDelta[]): void;
  tapFailed(error: unknown): void;
  hydration: HydrationService;
}

interface InFlight {
  batch: PipelineBatch;
  ledger: readonly LedgerDelta[];
  /** Part of a refused batch. */
  isPiece: boolean;
  /** Holds nothing but the abort of a refused event. */
  isAbort: boolean;
}

export class Processor {
  readonly #context: ActorContext<ProcessorMessage>;
  readonly #environment: Environment;
  readonly #shared: Shared;
  readonly #session: PartitionSession<ProcessorMessage>;
  readonly #dedup: Dedup;
  readonly #seen: SeenReader;
  #waiting: HandedJob[] = [];
  /** Jobs before this index of `waiting` are processed. */
  #next = 0;
  #building: PipelineBatch | undefined;
  readonly #inFlight = new Map<number, InFlight>();
  #pieces: HandedJob[][] = [];
  #continuing = false;
  readonly #hydration: Hydration;
  readonly #transforms: UserTransforms;
  /** Jobs behind `building`. */
  #slice: Slice | undefined;

  constructor(context: ActorContext<ProcessorMessage>, environment: Environment, shared: Shared) {
    this.#context = context;
    this.#environment = environment;
    this.#shared = shared;
    this.#hydration = new Hydration(context, shared.hydration);
    this.#transforms = new UserTransforms(context, environment.settings.transformations.whilePaused);
    const { settings, workspace } = environment;
    this.#session = new PartitionSession(context, {
      queue: 'gw',
      lanes: settings.storage.lanes,
      slots: settings.processor.slots,
      budget: shared.budget,
      commitTimeoutMs: settings.postgres.statementTimeoutMs * 2,
      isReady: () => workspace.current.snapshot.version > 0,
    });
    this.#dedup = new Dedup(shared.dedup, context.key);
    this.#seen = new SeenReader(context, environment.settings, this.#dedup);
  }

  open(): void {
    this.#session.open();
  }

  receive(message: ProcessorMessage): void {
    switch (message.kind) {
      case 'jobsReady':
        this.#session.wake();
        return;
      case 'openSession':
        this.#session.open();
        return;
      case 'checkSession':
        this.#session.check();
        return;
      case 'leavePartition':
        if (this.#session.leave(message)) this.#forget();
        return;
      case 'jobs': {
        const handed = this.#session.accept(message);
        if (handed === undefined) {
          if (!this.#session.isOpen) this.#forget();
          return;
        }
        for (const job of handed) this.#waiting.push(job);
        this.#seen.begin(message.seenMark ?? 0, handed[0]?.job.receivedAtMs ?? 0);
        break;
      }
      case 'seenRead': {
        const failure = this.#seen.receive(message);
        if (failure !== '') {
          this.#session.lose(failure);
          this.#forget();
        }
        break;
      }
      case 'commitSettled':
        this.#settle(message);
        break;
      case 'continueProcessing':
        this.#continuing = false;
        break;
      case 'transformAnswered':
        if (this.#transforms.take(message)) this.#slice?.transformed();
        break;
      case 'transformDue':
        if (this.#transforms.due(message.ask)) this.#slice?.transformed();
        break;
      case 'hydrated':
        if (this.#hydration.take(message)) this.#slice?.hydrated();
        break;
      case 'hydrationDue':
        this.#hydration.due(message.ask);
        break;
    }
    this.#work();
  }

  /** Results that are ready are still committed; jobs that were not begun are released with the session. */
  async stop(reason: StopReason): Promise<void> {
    const isOrderly = reason !== 'restart' && reason !== 'parked';
    if (isOrderly) {
      const building = this.#building;
      if (this.#session.isOpen && this.#pieces.length === 0 && building !== undefined && building.jobs.length > 0) {
        const results = building.takeResults();
        const reply = await this.#session.commitAndWait(results);
        if (reply?.kind === 'committed') {
          this.#dedup.committed(building.claims, this.#session.id);
          this.#building = undefined;
          this.#shared.count(results.ledger);
        }
      }
      await this.#session.settled();
    }
    // What became of these is not known here; whoever opens the partition next reads it.
    const isUnknown = this.#building !== undefined || this.#slice !== undefined || this.#inFlight.size > 0;
    if (!isOrderly || isUnknown) this.#dedup.forget();
    this.#dedup.close();
    this.#session.close();
  }

  #work(): void {
    if (!this.#session.isOpen || !this.#dedup.isReady) return;
    if (this.#pieces.length > 0 || this.#isPieceInFlight()) {
      this.#commitPiece();
      return;
    }
    if (this.#slice === undefined) this.#processSlice();
    this.#finishSlice();
    this.#commitBuilding();
    if (this.#slice === undefined && this.#next < this.#waiting.length && !this.#isFull() && !this.#continuing) {
      this.#continuing = true;
      this.#context.pipeToSelf(Promise.resolve(), () => ({ kind: 'continueProcessing' }));
    }
  }

  #processSlice(): void {
    if (this.#next >= this.#waiting.length || this.#isFull()) return;
    const batch = this.#building ?? new PipelineBatch(this.#bytesExpected());
    this.#building = batch;
    const context = this.#pipelineContext();
    let waiting: HandedJob[] | undefined;
    let bytes = 0;
    for (let jobs = 0; jobs < sliceJobsMax && bytes < sliceBytesMax && !this.#isFull(); jobs += 1) {
      const handed = this.#waiting[this.#next];
      if (handed === undefined) break;
      this.#next += 1;
      bytes += handed.job.payload.byteLength;
      if (waiting === undefined && this.#hasToWait(handed, context)) waiting = [];
      if (waiting === undefined) processJob(handed, batch, context);
      else waiting.push(handed);
    }
    if (waiting !== undefined) {
      const services = { hydration: this.#hydration, transforms: this.#transforms };
      this.#slice = new Slice(waiting, context, services);
    }
    if (this.#next < this.#waiting.length) return;
    this.#waiting = [];
    this.#next = 0;
  }

  #finishSlice(): void {
    if (this.#slice?.isReady !== true) return;
    const batch = this.#building ?? new PipelineBatch(0);
    this.#building = batch;
    this.#slice.finish(batch);
    this.#slice = undefined;
  }

  /** For what it needs of others; everything after it waits with it. */
  #hasToWait({ job }: HandedJob, { workspace, plans }: PipelineContext): boolean {
    const source = workspace.sourceById(readParameters(job.parameters)?.source_id ?? '');
    if (source === undefined) return false;
    const { isHydrated, isTransforming } = plans.of(source);
    return isHydrated || isTransforming;
  }

  #commitBuilding(): void {
    const batch = this.#building;
    if (batch === undefined || batch.jobs.length === 0 || this.#inFlight.size >= commitsInFlightMax) return;
    this.#building = undefined;
    this.#commit(batch, { isPiece: false, isAbort: false });
  }

  /** One at a time and only when nothing else is under way: pieces must not overtake each other. */
  #commitPiece(): void {
    const jobs = this.#inFlight.size > 0 ? undefined : this.#pieces.shift();
    if (jobs === undefined) return;
    const batch = new PipelineBatch(0);
    const context = this.#pipelineContext();
    for (const handed of jobs) processJob(handed, batch, context);
    this.#commit(batch, { isPiece: true, isAbort: false });
  }

  #commit(batch: PipelineBatch, origin: { isPiece: boolean; isAbort: boolean }): void {
    const results = batch.takeResults();
    const ticket = this.#session.commit(results);
    this.#inFlight.set(ticket, { batch, ledger: results.ledger, ...origin });
  }

  #settle(message: CommitSettled): void {
    const verdict = this.#session.settle(message);
    const inFlight = this.#inFlight.get(message.ticket);
    if (verdict === 'lost') {
      // The answer to a commit of an older session says nothing about the work of this one.
      if (!this.#session.isOpen) this.#forget();
      return;
    }
    if (inFlight === undefined) return;
    this.#inFlight.delete(message.ticket);
    if (verdict === 'committed') {
      this.#shared.count(inFlight.ledger);
      const { jobs, claims } = inFlight.batch;
      this.#dedup.committed(claims, this.#session.id);
      this.#session.release(
        jobs.length,
        jobs.reduce((sum, { job }) => sum + bytesOf(job), 0),
      );
      return;
    }
    if (verdict === 'behind') {
      this.#dedup.giveBackAll(inFlight.batch.claims);
      this.#pieces.push(inFlight.batch.jobs);
      return;
    }
    const refusal = message.reply?.kind === 'refused' ? message.reply : { reason: '', sqlState: '' };
    this.#split(inFlight, `${refusal.reason} (${refusal.sqlState})`);
  }

  #split(refused: InFlight, reason: string): void {
    const { jobs, claims } = refused.batch;
    const [first] = jobs;
    this.#dedup.giveBackAll(claims);
    this.#context.log.warn({ jobs: jobs.length, reason }, 'storage refused the results of a batch');
    if (refused.isAbort || first === undefined) {
      this.#session.lose(`storage refuses even an abort: ${reason}`);
      this.#forget();
      return;
    }
    if (jobs.length === 1) {
      const batch = new PipelineBatch(0);
      abortRefused(first, batch, reason, this.#pipelineContext());
      this.#commit(batch, { isPiece: true, isAbort: true });
      return;
    }
    const middle = jobs.length >>> 1;
    const halves = [jobs.slice(0, middle), jobs.slice(middle)];
    if (refused.isPiece) this.#pieces.unshift(...halves);
    else this.#pieces.push(...halves);
  }

  #isPieceInFlight(): boolean {
    for (const { isPiece } of this.#inFlight.values()) if (isPiece) return true;
    return false;
  }

  #isFull(): boolean {
    return (this.#building?.byteLength ?? 0) >= buildingBytesMax;
  }

  #bytesExpected(): number {
    let bytes = 0;
    const end = Math.min(this.#waiting.length, this.#next + sliceJobsMax);
    for (let index = this.#next; index < end; index += 1) {
      bytes += rowBytesExpected + (this.#waiting[index]?.job.payload.byteLength ?? 0);
    }
    return Math.min(bytes, buildingBytesMax);
  }

  #pipelineContext(): PipelineContext {
    const { workspace, telemetry } = this.#environment;
    const nowMs = this.#context.clock.nowMs();
    return {
      workspace: workspace.current,
      plans: this.#shared.plans,
      tracing: telemetry.tracing,
      nowMs,
      dedup: this.#dedup,
      hydrated: this.#hydration.events,
      answers: this.#transforms.answers,
      tapFailed: this.#shared.tapFailed,
    };
  }

  /** The session is gone: storage hands out again whatever was not committed. */
  #forget(): void {
    this.#waiting = [];
    this.#next = 0;
    this.#building = undefined;
    this.#slice = undefined;
    this.#hydration.forget();
    this.#transforms.forget();
    this.#inFlight.clear();
    this.#pieces = [];
    this.#dedup.forget();
  }
}
