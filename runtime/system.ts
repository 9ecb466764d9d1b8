// The actor system of one thread: wires scheduler, cells, asks, links and placement together, and is everything the
// thread's owner needs to run, watch, move and stop actors. Threads know each other only by number and link.

import { decode, type Link } from '../transport/index.ts';
import type { ActorDefinition, ActorLog, ActorRef } from './actor.ts';
import { LocalRef } from './actor-ref.ts';
import { type CellHost, createActorType, type LifeCounters, type Origin } from './actor-type.ts';
import { type ActorAddress, formatAddress, parseAddress } from './address.ts';
import { checkDelay } from './arguments.ts';
import { AskChain } from './ask-chain.ts';
import { Asks } from './asks.ts';
import { DeadLetters } from './dead-letters.ts';
import { checkDefinition } from './definition-check.ts';
import { Delivery } from './delivery.ts';
import { Drain, type DrainOutcome } from './drain.ts';
import { RuntimeError } from './errors.ts';
import { deepFreeze } from './freeze.ts';
import { type HandOverOptions, HandOvers } from './hand-over.ts';
import { Holds } from './holds.ts';
import type { Mail } from './mail.ts';
import { MailboxPool } from './mailbox.ts';
import { Placement, type PlacementTable } from './placement.ts';
import { Registry, residentsMaxDefault } from './registry.ts';
import type { RunningActor } from './running-actor.ts';
import { SaturationWatch } from './saturation.ts';
import { Scheduler, type SchedulerOptions } from './scheduler.ts';
import type { Seams } from './seams.ts';
import { noTraffic, type SystemStats, sumTraffic } from './system-stats.ts';
import type { SpanHandle, Tracing } from './telemetry.ts';
import type { ActorLoad } from './thread-contract.ts';
import { CallbackWait, Timers } from './timers.ts';
import { isSampled } from './traceparent.ts';

export interface ActorSystemOptions {
  threadId: number;
  role: string;
  /** Those of this thread's role; others are ignored. */
  definitions: readonly ActorDefinition<never>[];
  /** Actor kind → role, for all kinds of the process. */
  roles: Readonly<Record<string, string>>;
  seams: Seams;
  log: ActorLog;
  /** Encode and decode local messages too, and freeze what is received: for tests. */
  serializeLocalMessages?: boolean;
  /** Refuse asks that would wait for each other with ASK_CYCLE: for tests. */
  refuseAskCycles?: boolean;
  /** Index 0 is bumped each scheduler turn; index 1, if there, is 1 while work is queued. */
  heartbeat?: Int32Array;
  /** Where main can read which actor has its slice, when the thread is stuck. */
  running?: RunningActor;
  /** Beyond it the least recently used idle actors are passivated; default 10,000. */
  residentsMax?: number;
  /** What all mailboxes of the thread may hold; default 256 MiB. */
  mailboxBytesMax?: number;
  scheduling?: Partial<SchedulerOptions>;
  tracing?: Tracing;
}

const mailboxBytesMaxDefault = 256 * 1024 * 1024;
const holdRetryMs = 1;

export class ActorSystem {
  readonly threadId: number;
  readonly role: string;
  private readonly timers: Timers;
  private readonly asks: Asks;
  private readonly holds = new Holds();
  private readonly deadLetters: DeadLetters;
  private readonly registry: Registry;
  private readonly mailboxes: MailboxPool;
  private readonly scheduler: Scheduler;
  private readonly delivery: Delivery;
  private readonly handOvers: HandOvers;
  private readonly drainRun: Drain;
  private readonly host: CellHost;
  private readonly holdRetry = new CallbackWait(() => this.scheduler.requestTurn());
  private readonly saturation: SaturationWatch;
  private staysOpen = false;
  private readonly wantFlush = new Set<Link>();
  private readonly pastTraffic = noTraffic();
  private readonly counters: LifeCounters = {
    started: 0,
    failures: 0,
    restarts: 0,
    parks: 0,
    passivated: 0,
    stale: 0,
  };

  constructor(options: ActorSystemOptions) {
    const { threadId, role, seams, log } = options;
    const { clock } = seams;
    this.threadId = threadId;
    this.role = role;
    this.timers = new Timers(clock);
    this.asks = new Asks(this.timers);
    this.deadLetters = new DeadLetters(clock, log);
    this.mailboxes = new MailboxPool(options.mailboxBytesMax ?? mailboxBytesMaxDefault);
    this.registry = new Registry({
      clock,
      timers: this.timers,
      residentsMax: options.residentsMax ?? residentsMaxDefault,
      running: options.running,
      swept: () => this.saturation.look(this.registry.hot[0]),
    });
    this.saturation = new SaturationWatch({
      clock,
      log,
      remedyOf: (actor) => this.registry.typeOf(parseAddress(actor).kind)?.definition.remedy ?? '',
    });
    this.handOvers = new HandOvers(this.registry, this.timers);
    this.drainRun = new Drain(this.registry, this.timers, () => {
      if (!this.staysOpen) this.close();
    });
    this.scheduler = new Scheduler({
      clock,
      executor: seams.executor,
      log,
      options: options.scheduling,
      heartbeat: options.heartbeat,
      running: options.running,
      endTurn: () => this.endTurn(),
    });
    this.delivery = new Delivery({
      threadId,
      roles: new Map(Object.entries(options.roles)),
      clock,
      asks: this.asks,
      holds: this.holds,
      registry: this.registry,
      deadLetters: this.deadLetters,
      serializeLocalMessages: options.serializeLocalMessages ?? false,
      askChain: options.refuseAskCycles === true ? new AskChain() : undefined,
      admits: (isInteractive) => this.drainRun.admits(isInteractive),
      fenced: (address, epoch, peer) => this.handOvers.fenced(address, epoch, peer),
    });
    this.host = this.createHost(options);
    for (const definition of options.definitions) this.define(definition);
  }

  /** A reference for code outside any actor; inside use `context.ref`, which names the sender. */
  ref<Message>(kind: string, key: string): ActorRef<Message> {
    return new LocalRef<Message>(this.delivery, { kind, key }, undefined);
  }

  /** Routes to the thread `link.peer`; the system flushes the link after each turn in which something was sent. */
  attachLink(link: Link): void {
    this.forgetLink(link.peer);
    this.delivery.links.set(link.peer, link);
    link.onWantFlush(() => {
      this.wantFlush.add(link);
      this.scheduler.requestTurn();
    });
    link.onEnvelopes((envelopes) => this.delivery.receive(link, envelopes));
    link.onClose(() => {
      if (this.delivery.links.get(link.peer) === link) this.detachLink(link.peer, 'its link closed');
    });
  }

  /** Asks to that thread are rejected THREAD_LOST; the link itself is its owner's to close. */
  detachLink(peer: number, reason: string): void {
    this.forgetLink(peer);
    this.asks.failPeer(peer, new RuntimeError('THREAD_LOST', `thread ${peer} is gone: ${reason}`));
  }

  /** Actors that live elsewhere by the new table handle what they have and stop. An older table changes nothing. */
  setPlacement(table: PlacementTable): void {
    const before = this.delivery.placement;
    if (before !== undefined && table.epoch < before.epoch) return;
    this.delivery.placement = new Placement(table);
    for (const cell of [...this.registry.cells()]) {
      if (this.delivery.ownerOf(cell.address) !== this.threadId) cell.requestStop('migrating', () => undefined);
    }
  }

  /** The thread an address lives in; undefined when no thread has its role. */
  ownerOf(address: string): number | undefined {
    return this.delivery.ownerOf(parseAddress(address));
  }

  get placementEpoch(): number {
    return this.delivery.placement?.epoch ?? 0;
  }

  /**
   * First step of a move, in every thread: from now on messages to the address wait here, and a fence goes to its owner
   * behind all that was sent before. False when the link is too full for the fence: then the move must be called off.
   */
  hold(address: string, epoch: number): boolean {
    const target = parseAddress(address);
    const owner = this.delivery.ownerOf(target);
    this.holds.begin(target, epoch);
    if (owner === undefined || owner === this.threadId) return true;
    return this.delivery.sendFence(owner, target, epoch);
  }

  /** Second step, in the owner: resolves true when all fences are here and the actor has stopped, or is not here. */
  handOver(address: string, epoch: number, options: HandOverOptions): Promise<boolean> {
    return this.handOvers.run(parseAddress(address), epoch, options);
  }

  /**
   * Third step, in the owner: a fence to every other thread, behind all that the actor sent. They wait for it by
   * `handOver` too, so that nothing the actor sends from its new thread overtakes what it sent from here.
   */
  fence(address: string, epoch: number): boolean {
    const target = parseAddress(address);
    return [...this.delivery.links.keys()].every((peer) => this.delivery.sendFence(peer, target, epoch));
  }

  /** Last step, in every thread, also to call a move off: what waited goes to whoever owns the address by `table`. */
  release(address: string, epoch: number, table?: PlacementTable): void {
    if (table !== undefined) this.setPlacement(table);
    this.holds.release(parseAddress(address), epoch);
    this.flushHolds();
  }

  /**
   * Stops every actor; then the system refuses everything, unless it `staysOpen` for answers until `close`. Again with a
   * shorter deadline cuts it short.
   */
  async drain(deadlineMs: number, { staysOpen = false } = {}): Promise<DrainOutcome> {
    checkDelay('the deadlineMs of a drain', deadlineMs);
    if (this.delivery.state === 'open') this.delivery.state = 'draining';
    this.staysOpen = staysOpen;
    return await this.drainRun.run(deadlineMs);
  }

  load(): ActorLoad {
    return { actors: this.registry.size, hot: this.registry.hot };
  }

  stats(): SystemStats {
    const parked: string[] = [];
    const backingOff: string[] = [];
    for (const cell of this.registry.cells()) {
      if (cell.state === 'parked') parked.push(formatAddress(cell.address));
      else if (cell.state === 'backing-off') backingOff.push(formatAddress(cell.address));
    }
    return {
      threadId: this.threadId,
      role: this.role,
      placementEpoch: this.placementEpoch,
      actors: this.registry.size,
      actorsByKind: this.registry.countsByKind(),
      parked,
      backingOff,
      mailboxDepth: this.mailboxes.budget.messages,
      mailboxBytes: this.mailboxes.budget.bytes,
      asksPending: this.asks.size,
      held: this.holds.size,
      askTimeouts: this.asks.timeouts,
      lateReplies: this.asks.lateReplies,
      deadLetters: { ...this.deadLetters.counts },
      life: { ...this.counters },
      scheduler: this.scheduler.stats(),
      links: [...this.delivery.links.values()].map((link) => ({ peer: link.peer, ...link.stats() })),
      traffic: sumTraffic([this.pastTraffic, ...[...this.delivery.links.values()].map((link) => link.stats())]),
      hot: this.registry.hot,
      saturatedBy: this.saturation.current,
    };
  }

  /** Adds a kind, which no message may have named before; those of other roles are ignored. */
  define(definition: ActorDefinition<never>): void {
    checkDefinition(definition);
    if (definition.role !== this.role) return;
    if (this.registry.typeOf(definition.kind) !== undefined) {
      throw new TypeError(`expected each kind of actor to be defined once, got ${definition.kind} twice`);
    }
    this.registry.define(createActorType(definition, this.host));
  }

  private createHost(options: ActorSystemOptions): CellHost {
    const { delivery, tracing = undefined } = { delivery: this.delivery, tracing: options.tracing };
    return {
      clock: options.seams.clock,
      random: options.seams.random,
      timers: this.timers,
      scheduler: this.scheduler,
      mailboxes: this.mailboxes,
      counters: this.counters,
      log: options.log,
      decodeMessage: options.serializeLocalMessages === true ? (body) => deepFreeze(decode(body)) : decode,
      createRef: (kind, key, origin: Origin) => new LocalRef<unknown>(delivery, { kind, key }, origin),
      answer: (mail, value) => delivery.answers.answer(mail, value),
      answerFailure: (mail, error) => delivery.answers.fail(mail, error),
      bury: (mail, to, reason, error) => delivery.bury(mail, to, reason, error),
      forget: (address) => this.registry.forget(address),
      reroute: (mail, to: ActorAddress) => delivery.reroute(mail, to),
      startSpan: (mail, kind) => (tracing?.enabled === true ? startSpan(tracing, mail, kind) : undefined),
    };
  }

  private endTurn(): void {
    if (this.holds.size > 0) this.flushHolds();
    if (this.wantFlush.size === 0) return;
    for (const link of this.wantFlush) link.flush();
    this.wantFlush.clear();
  }

  /** What a full link does not take is tried again a little later, not in every turn: that would be a busy wait. */
  private flushHolds(): void {
    if (this.delivery.flushHolds() || this.holdRetry.place >= 0) return;
    this.timers.add(this.holdRetry, holdRetryMs);
  }

  /** What went over it stays counted. */
  private forgetLink(peer: number): void {
    const link = this.delivery.links.get(peer);
    if (link === undefined) return;
    this.wantFlush.delete(link);
    this.delivery.links.delete(peer);
    Object.assign(this.pastTraffic, sumTraffic([this.pastTraffic, link.stats()]));
  }

  /** The end: whoever still waits for an answer is told, and nothing waits for the clock any more. */
  close(): void {
    if (this.delivery.state === 'closed') return;
    this.delivery.state = 'closed';
    this.handOvers.close();
    for (const { address, mails } of this.holds.endAll()) {
      for (let mail = mails.shift(); mail !== undefined; mail = mails.shift()) {
        this.delivery.bury(mail, address, 'draining');
      }
    }
    this.asks.failAll(new RuntimeError('STOPPED', `thread ${this.threadId} has stopped its actors`));
    this.timers.stop();
    this.endTurn();
  }
}

/** The span of one message; what the handler sends on is its child. */
function startSpan(tracing: Tracing, mail: Mail, kind: string): SpanHandle | undefined {
  if (!isSampled(mail.traceparent)) return undefined;
  const span = tracing.start(`actor.receive ${kind}`, {
    traceparent: mail.traceparent,
    kind: 'consumer',
    attributes: { 'messaging.system': 'actor', 'messaging.operation.name': 'receive', 'actor.kind': kind },
  });
  mail.traceparent = span.traceparent ?? mail.traceparent;
  return span;
}
