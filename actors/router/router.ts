// The work of one router, for one partition: keeps a window of `rt` jobs (window.ts), sends those whose turn it is
// (dispatch.ts, sender.ts), records what the destinations said and lets a job go only when that is committed
// (result-log.ts). This file only says what follows from what.
//
//   message               what it changes                       then
//   jobs                  window takes them in                  their lanes are pumped
//   deliveriesCompleted   results are recorded                  their lanes are pumped, a commit begins
//   commitSettled         jobs leave, or wait for a retry       lanes are pumped, the next commit begins
//   retryDue, holdDue     waiting and held jobs are looked at   lanes are pumped
//   controlsChanged       drained jobs are given up, wherever they stand
//
// When a session is lost the window is forgotten, but not what this actor knows: requests in flight go on, and results
// that were not committed are applied when their jobs come again. Only a crash can make a job be sent twice.

import { type ActorContext, partitionOf, type StopReason } from '../../runtime/index.ts';
import type { Environment } from '../environment.ts';
import { Splits } from '../isolation.ts';
import { consumerPlace } from '../lanes.ts';
import { type BytesBudget, type CommitSettled, PartitionSession } from '../storage/partition-session.ts';
import { Admission } from './admission.ts';
import type { BreakerMemory } from './breaker.ts';
import type { RouterMessage } from './contract.ts';
import type { Delivery } from './delivery.ts';
import { DeliveryMetrics } from './delivery-metrics.ts';
import { DestinationWatch } from './destination-watch.ts';
import { Dispatch } from './dispatch.ts';
import { ResultLog } from './result-log.ts';
import type { JobLane, Recorded } from './routed-job.ts';
import { type Attempt, Sender } from './sender.ts';
import { WakeTimers } from './wake-timers.ts';
import { JobWindow } from './window.ts';

/** What routers of one thread share. */
export interface RouterShared {
  readonly delivery: Delivery;
  readonly budget: BytesBudget;
  readonly breakers: BreakerMemory;
}

export class Router {
  readonly #context: ActorContext<RouterMessage>;
  readonly #delivery: Delivery;
  readonly #breakers: BreakerMemory;
  readonly #session: PartitionSession<RouterMessage>;
  readonly #admission: Admission;
  readonly #window: JobWindow;
  readonly #dispatch: Dispatch;
  readonly #sender: Sender;
  readonly #results: ResultLog;
  readonly #wakes: WakeTimers;
  readonly #metrics: DeliveryMetrics;
  readonly #watch: DestinationWatch;
  readonly #unfollow: () => void;
  #stopping = false;

  constructor(context: ActorContext<RouterMessage>, environment: Environment, shared: RouterShared) {
    const { delivery, budget, breakers } = shared;
    this.#context = context;
    this.#delivery = delivery;
    this.#breakers = breakers;
    const { settings, workspace, telemetry, controls } = environment;
    const { clock } = context;
    const nowMs = (): number => clock.nowMs();
    const { partition } = consumerPlace(context.key, settings.storage.lanes);
    // A destination is promised bounds, however many actors send to it.
    const shares = new Splits(settings.router.shards).countOf(partitionOf(partition));
    this.#session = new PartitionSession(context, {
      queue: 'rt',
      lanes: settings.storage.lanes,
      slots: settings.router.slots,
      budget,
      commitTimeoutMs: settings.postgres.statementTimeoutMs * 2,
      isReady: () => workspace.current.snapshot.version > 0,
    });
    this.#results = new ResultLog(this.#session, environment.observers?.deliveries);
    this.#watch = new DestinationWatch(context, telemetry.metrics);
    this.#metrics = new DeliveryMetrics(environment);
    this.#wakes = new WakeTimers(context, settings.router.idleMs);
    this.#admission = new Admission(environment, shares, breakers, context.log);
    const sender = new Sender({
      delivery,
      tracing: telemetry.tracing,
      clock,
      random: () => context.random.next(),
      onCompleted: () => context.pipeToSelf(Promise.resolve(), () => ({ kind: 'deliveriesCompleted' })),
      onBreaker: (lane, change, outcome) => this.#watch.changed(lane, change, outcome.code, outcome.response),
    });
    this.#sender = sender;
    const [admission, results] = [this.#admission, this.#results];
    this.#window = new JobWindow({
      admission,
      nowMs,
      record: (routed, settled) => results.record(routed, settled),
      adopt: (routed) => sender.adopt(routed),
    });
    this.#dispatch = new Dispatch({
      admission,
      nowMs,
      send: (lane, jobs) => sender.send(lane, jobs),
      record: (routed, settled) => results.record(routed, settled),
      isUnderWay: (routed) => sender.isUnderWay(routed),
    });
    const self = context.ref<RouterMessage>(context.self.kind, context.key);
    this.#unfollow = controls.follow(() => void self.tell({ kind: 'controlsChanged' }));
  }

  open(): void {
    this.#session.open();
  }

  receive(message: RouterMessage): void {
    this.#handle(message);
    this.#wakes.retryAt(this.#window.earliestRetryMs);
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
        if (handed !== undefined) this.#pump(this.#window.take(handed));
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
        this.#wakes.retryFired();
        this.#pump(this.#window.releaseDue(this.#context.clock.nowMs()));
        break;
      case 'holdDue':
        this.#wakes.holdFired();
        this.#pump(this.#window.lanes);
        break;
      case 'controlsChanged':
        this.#drainWaiting();
        this.#pump(this.#window.lanes);
        break;
    }
    this.#results.commit();
  }

  /** Requests in flight end and are recorded; whatever was not begun is released with its attempts unchanged. */
  async stop(reason: StopReason): Promise<void> {
    this.#stopping = true;
    this.#unfollow();
    if (reason !== 'restart' && reason !== 'parked') {
      await this.#sender.idle();
      this.#collect();
      await this.#results.finish();
    }
    this.#session.close(reason === 'passivated' && this.#results.isEmpty ? this.#window.restUntilMs() : 0);
    for (const lane of this.#window.lanes) {
      // One that rests goes on where it was; its destination stays down meanwhile.
      if (reason === 'passivated') this.#breakers.keep(lane.destinationId, lane.breaker);
      else this.#watch.forget(lane);
      this.#delivery.release(lane.destinationId);
    }
  }

  #pump(lanes: Iterable<JobLane>): void {
    if (this.#stopping || !this.#session.isOpen) return;
    for (const lane of lanes) this.#wakes.holdUntil(this.#dispatch.pump(lane));
  }

  /** Takes the deliveries that ended. */
  #collect(): void {
    const lanes = new Set<JobLane>();
    for (const attempt of this.#sender.takeCompleted()) {
      lanes.add(attempt.lane);
      this.#take(attempt);
    }
    this.#pump(lanes);
  }

  #take({ routed, jobId, settled }: Attempt): void {
    const current = this.#window.held(jobId);
    if (settled === undefined) {
      if (current === routed) this.#window.putBack(routed);
    } else if (current === undefined) this.#window.remember(jobId, settled);
    else if (current === routed) this.#results.record(current, settled);
    else current.earlier = settled;
  }

  #settle(message: CommitSettled): void {
    const verdict = this.#results.settle(message);
    if (verdict.kind === 'committed') this.#release(verdict.recorded);
    else if (verdict.kind === 'lost' && !this.#session.isOpen) this.#forget();
  }

  #release(recorded: readonly Recorded[]): void {
    this.#metrics.count(recorded, this.#context.clock.nowMs());
    const { touched, freed } = this.#window.release(recorded);
    this.#session.release(freed.jobs, freed.bytes);
    this.#pump(touched);
    this.#window.dropIdle(touched);
  }

  /** Those that are ready are looked at before they are sent. */
  #drainWaiting(): void {
    const nowMs = this.#context.clock.nowMs();
    for (const routed of this.#window.waiting()) {
      const drained = this.#admission.drained(routed, nowMs);
      if (drained !== undefined) this.#results.record(routed, drained);
    }
  }

  #forget(): void {
    this.#window.forget(this.#results.takeUncertain());
  }
}
