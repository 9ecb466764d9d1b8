// The work of one router, for one partition: keeps a window of `rt` jobs, sends those whose turn it is, records what
// the destinations said and lets a job go only when that is committed.
//
//   handed --> in line (barrier) --> ready --> sending --> settled --commit--> gone (slot pulled anew), or
//                                      ^                                \----> retry queue, still first in line
//                                      |______ retry time reached ___________________/
//
// Results gather while a commit is in flight and go together in the next one, so statuses are batched without a timer.
// When a session is lost the window is forgotten, but not what this actor knows: requests in flight go on, and results
// that were not committed are applied when their jobs come again. Only a crash can make a job be sent twice.

import { type ActorContext, partitionOf, type StopReason } from '../../runtime/index.ts';
import type { Environment } from '../environment.ts';
import { Splits } from '../isolation.ts';
import { isTerminal, orderKeys } from '../job.ts';
import { consumerPlace } from '../lanes.ts';
import type { DeliveryObserver } from '../reporting/contract.ts';
import {
  type BytesBudget,
  bytesOf,
  type CommitSettled,
  type HandedJob,
  PartitionSession,
} from '../storage/partition-session.ts';
import { Admission } from './admission.ts';
import type { RouterMessage } from './contract.ts';
import type { Delivery } from './delivery.ts';
import { DestinationWatch } from './destination-watch.ts';
import { Lane } from './lane.ts';
import { RetryQueue } from './retry-queue.ts';
import {
  applyEarlier,
  createRoutedJob,
  ownPayload,
  type Recorded,
  type RoutedJob,
  readRouterParameters,
  redact,
  resultsOf,
  type Settled,
} from './routed-job.ts';
import { type Attempt, Sender, type SenderOptions } from './sender.ts';

const retryTimer = 'retry';
const holdTimer = 'hold';
/** A retry this much later than the idle time is not waited for: the actor is put away, and storage wakes it again. */
const restMarginMs = 5_000;

export class Router {
  readonly #context: ActorContext<RouterMessage>;
  readonly #delivery: Delivery;
  readonly #observer: DeliveryObserver | undefined;
  readonly #sender: Sender;
  readonly #session: PartitionSession<RouterMessage>;
  readonly #lanes = new Map<string, Lane<RoutedJob>>();
  /** The window, by job id. */
  readonly #held = new Map<number, RoutedJob>();
  readonly #retries = new RetryQueue<RoutedJob>();
  /** Waits for the commit in flight to end. */
  #recorded: Recorded[] = [];
  readonly #committing = new Map<number, Recorded[]>();
  /** Results of lost sessions, until their jobs come again or are known to be done. */
  readonly #known = new Map<number, Settled>();
  /** When the retry timer fires; undefined: it is not set. */
  #retryTimerMs: number | undefined;
  /** When held jobs are looked at again; undefined: none is held. */
  #holdTimerMs: number | undefined;
  readonly #admission: Admission;
  readonly #watch: DestinationWatch;
  readonly #requestsInFlightMax: number;
  readonly #restFromMs: number;
  #stopping = false;

  constructor(context: ActorContext<RouterMessage>, environment: Environment, delivery: Delivery, budget: BytesBudget) {
    this.#context = context;
    this.#delivery = delivery;
    const { settings, workspace } = environment;
    this.#observer = environment.observers?.deliveries;
    const { partition } = consumerPlace(context.key, settings.storage.lanes);
    // A destination is promised a bound on concurrent requests, however many actors send to it.
    const shards = new Splits(settings.router.shards).countOf(partitionOf(partition));
    this.#requestsInFlightMax = Math.max(1, Math.floor(settings.router.requestsInFlightMax / shards));
    this.#restFromMs = settings.router.idleMs + restMarginMs;
    const options: SenderOptions = {
      delivery,
      environment,
      clock: context.clock,
      random: () => context.random.next(),
      onCompleted: () => context.pipeToSelf(Promise.resolve(), () => ({ kind: 'deliveriesCompleted' })),
      onBreaker: (lane, change, outcome) => this.#watch.changed(lane, change, outcome.code, outcome.response),
    };
    this.#sender = new Sender(options);
    this.#admission = new Admission(environment, shards);
    this.#watch = new DestinationWatch(context, environment.telemetry.metrics);
    this.#session = new PartitionSession(context, {
      queue: 'rt',
      lanes: settings.storage.lanes,
      slots: settings.router.slots,
      budget,
      commitTimeoutMs: settings.postgres.statementTimeoutMs * 2,
      isReady: () => workspace.current.snapshot.version > 0,
    });
  }

  open(): void {
    this.#session.open();
  }

  receive(message: RouterMessage): void {
    this.#handle(message);
    this.#scheduleRetry();
  }

  #handle(message: RouterMessage): void {
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
        // First what has ended: a job that comes again must not be sent while its result waits to be taken.
        this.#collect();
        const handed = this.#session.accept(message);
        if (handed !== undefined) this.#take(handed);
        else if (!this.#session.isOpen) this.#forget();
        break;
      }
      case 'deliveriesCompleted':
        this.#collect();
        break;
      case 'commitSettled':
        this.#settle(message);
        break;
      case 'retryDue':
        this.#releaseDue();
        break;
      case 'holdDue':
        this.#holdTimerMs = undefined;
        for (const lane of this.#lanes.values()) this.#pump(lane);
        break;
    }
    this.#commit();
  }

  /** Requests in flight end and are recorded; whatever was not begun is released with its attempts unchanged. */
  async stop(reason: StopReason): Promise<void> {
    this.#stopping = true;
    if (reason !== 'restart' && reason !== 'parked') {
      await this.#sender.idle();
      this.#collect();
      await this.#session.settled();
      const recorded = this.#recorded;
      if (recorded.length > 0 && this.#session.isOpen)
        await this.#session.commitAndWait(resultsOf(recorded, this.#observer));
    }
    this.#session.close(reason === 'passivated' ? this.#restUntilMs() : 0);
    for (const lane of this.#lanes.values()) {
      this.#watch.forget(lane);
      this.#delivery.release(lane.destinationId);
    }
  }

  #take(handed: readonly HandedJob[]): void {
    const lanes = new Set<Lane<RoutedJob>>();
    for (const one of handed) {
      const { jobId } = one.job;
      if (this.#held.has(jobId)) continue;
      const parameters = readRouterParameters(one.job.parameters);
      const lane = this.#laneOf(parameters?.destination_id ?? '');
      const routed = createRoutedJob(one, parameters, lane);
      routed.earlier = this.#known.get(jobId);
      this.#known.delete(jobId);
      this.#held.set(jobId, routed);
      routed.place = lane.ordering.enter(orderKeys(one.job.userId), routed);
      if (routed.place.blockedBy === 0) this.#ready(routed);
      lanes.add(lane);
    }
    this.#dropKnown(handed.at(-1));
    for (const lane of lanes) this.#pump(lane);
  }

  /** Jobs of older sessions come first, all in id order: what a fresh hand-out has passed by is done. */
  #dropKnown(last: HandedJob | undefined): void {
    if (last === undefined || last.again || this.#known.size === 0) return;
    for (const jobId of this.#known.keys()) if (jobId < last.job.jobId) this.#known.delete(jobId);
  }

  /** First in line under each of its keys. */
  #ready(routed: RoutedJob): void {
    const { earlier } = routed;
    if (earlier !== undefined) {
      applyEarlier(routed, earlier);
      this.#record(routed, earlier);
    } else if (this.#sender.adopt(routed)) {
      // A request of an older session is still in flight for it: its result will do.
    } else if (routed.retryTimeMs > this.#context.clock.nowMs()) this.#retries.add(routed);
    else routed.lane.ready.push(routed);
  }

  #pump(lane: Lane<RoutedJob>): void {
    if (this.#stopping || !this.#session.isOpen) return;
    const nowMs = this.#context.clock.nowMs();
    let heldUntilMs = Number.POSITIVE_INFINITY;
    let at = 0;
    while (lane.inFlight < this.#requestsInFlightMax) {
      const routed = lane.ready[at];
      if (routed === undefined) break;
      const drained = this.#sender.drained(routed);
      const waitUntilMs = drained === undefined ? this.#admission.waitUntilMs(lane, routed, nowMs) : 0;
      if (waitUntilMs > 0) {
        heldUntilMs = Math.min(heldUntilMs, waitUntilMs);
        at += 1;
        if (this.#admission.isPerJob(lane)) continue;
        this.#drainHeld(lane);
        break;
      }
      if (at === 0) lane.ready.shift();
      else lane.ready.splice(at, 1);
      if (drained === undefined) this.#sender.start(routed);
      else this.#record(routed, drained);
    }
    this.#lookAgain(heldUntilMs, nowMs);
  }

  /** What is to be given up does not wait until the rest may be sent. */
  #drainHeld(lane: Lane<RoutedJob>): void {
    lane.ready = lane.ready.filter((routed) => {
      const drained = this.#sender.drained(routed);
      if (drained !== undefined) this.#record(routed, drained);
      return drained === undefined;
    });
  }

  /** One timer for all that is held. A probe that is on its way (Infinity) looks for itself when it ends. */
  #lookAgain(atMs: number, nowMs: number): void {
    if (atMs === Number.POSITIVE_INFINITY) return;
    if (this.#holdTimerMs !== undefined && this.#holdTimerMs <= atMs) return;
    this.#holdTimerMs = atMs;
    this.#context.schedule(holdTimer, Math.max(0, atMs - nowMs), { kind: 'holdDue' });
  }

  #record(routed: RoutedJob, settled: Settled): void {
    this.#recorded.push({ routed, settled });
  }

  /** Takes the deliveries that ended. */
  #collect(): void {
    const lanes = new Set<Lane<RoutedJob>>();
    for (const attempt of this.#sender.takeCompleted()) {
      lanes.add(attempt.lane);
      this.#recordAttempt(attempt);
    }
    for (const lane of lanes) this.#pump(lane);
  }

  #recordAttempt({ routed, jobId, settled }: Attempt): void {
    const current = this.#held.get(jobId);
    if (settled === undefined) return;
    if (current === undefined) this.#known.set(jobId, settled);
    else if (current === routed) this.#record(current, settled);
    else current.earlier = settled;
  }

  #commit(): void {
    if (this.#recorded.length === 0 || this.#committing.size > 0 || !this.#session.isOpen) return;
    const recorded = this.#recorded;
    this.#recorded = [];
    const ticket = this.#session.commit(resultsOf(recorded, this.#observer));
    this.#committing.set(ticket, recorded);
  }

  #settle(message: CommitSettled): void {
    const verdict = this.#session.settle(message);
    if (verdict === 'lost') {
      if (!this.#session.isOpen) this.#forget();
      return;
    }
    const recorded = this.#committing.get(message.ticket);
    if (recorded === undefined) return;
    this.#committing.delete(message.ticket);
    // It has one commit under way at a time, so there is none to be behind; what was not tried is tried again.
    if (verdict === 'behind') this.#recorded.unshift(...recorded);
    else if (verdict === 'refused') this.#redact(recorded);
    else this.#release(recorded);
  }

  /** Committed: terminal jobs leave the window and free what stood behind them, failed ones wait for their time. */
  #release(recorded: readonly Recorded[]): void {
    const lanes = new Set<Lane<RoutedJob>>();
    let freed = 0;
    let freedBytes = 0;
    for (const { routed, settled } of recorded) {
      this.#sender.count(routed, settled);
      if (settled.status !== undefined && !isTerminal(settled.status.state)) {
        routed.retryTimeMs = settled.status.retryTimeMs;
        ownPayload(routed.job);
        this.#ready(routed);
        lanes.add(routed.lane);
        continue;
      }
      freed += 1;
      freedBytes += bytesOf(routed.job);
      this.#held.delete(routed.job.jobId);
      if (routed.place === undefined) continue;
      for (const { payload: next } of routed.lane.ordering.leave(routed.place)) this.#ready(next);
      lanes.add(routed.lane);
    }
    this.#session.release(freed, freedBytes);
    for (const lane of lanes) this.#pump(lane);
    for (const lane of lanes) if (lane.isIdle && this.#lanes.size > 1) this.#lanes.delete(lane.destinationId);
  }

  /** Only the answer's text can be what Postgres refuses: everything else in a status is ours. */
  #redact(recorded: readonly Recorded[]): void {
    const redacted = redact(recorded);
    this.#recorded.unshift(...(redacted ?? recorded));
    if (redacted !== undefined) return;
    this.#session.lose('storage refuses plain statuses');
    this.#forget();
  }

  #releaseDue(): void {
    this.#retryTimerMs = undefined;
    const nowMs = this.#context.clock.nowMs();
    const lanes = new Set<Lane<RoutedJob>>();
    for (let due = this.#retries.takeDue(nowMs); due !== undefined; due = this.#retries.takeDue(nowMs)) {
      due.lane.ready.push(due);
      lanes.add(due.lane);
    }
    for (const lane of lanes) this.#pump(lane);
  }

  /**
   * One timer for all: at the earliest retry, and left alone while that stays the same. None for a retry that is far
   * away: an actor without a timer is put away when it is idle, and what it held no longer takes anybody's room.
   */
  #scheduleRetry(): void {
    const earliestMs = this.#retries.earliestMs;
    if (earliestMs === undefined && this.#retryTimerMs === undefined) return;
    const delayMs = (earliestMs ?? Number.POSITIVE_INFINITY) - this.#context.clock.nowMs();
    const timerMs = delayMs < this.#restFromMs ? earliestMs : undefined;
    if (timerMs === this.#retryTimerMs) return;
    this.#retryTimerMs = timerMs;
    if (timerMs === undefined) this.#context.cancel(retryTimer);
    else this.#context.schedule(retryTimer, Math.max(0, delayMs), { kind: 'retryDue' });
  }

  /** Until when nothing that is held can be sent; 0 when something can. */
  #restUntilMs(): number {
    if (this.#recorded.length > 0) return 0;
    for (const { ready, inFlight } of this.#lanes.values()) if (ready.length > 0 || inFlight > 0) return 0;
    return this.#retries.earliestMs ?? 0;
  }

  #laneOf(destinationId: string): Lane<RoutedJob> {
    let lane = this.#lanes.get(destinationId);
    if (lane === undefined) {
      lane = new Lane<RoutedJob>(destinationId, this.#admission.breakerPolicy);
      this.#lanes.set(destinationId, lane);
    }
    return lane;
  }

  /** The session is gone. Jobs come again; results that may not have been committed are kept for them. */
  #forget(): void {
    const uncertain = [...this.#committing.values(), this.#recorded].flat();
    for (const { routed, settled } of uncertain) this.#known.set(routed.job.jobId, settled);
    for (const [jobId, { earlier }] of this.#held) if (earlier !== undefined) this.#known.set(jobId, earlier);
    this.#committing.clear();
    this.#recorded = [];
    this.#held.clear();
    this.#retries.clear();
    for (const lane of this.#lanes.values()) lane.reset();
  }
}
