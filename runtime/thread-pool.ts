// The threads of the process, kept alive by main: spawned, meshed with links, watched, respawned after a loss, drained in
// order (thread-drain.ts). A slot is a thread id and its role for good; the worker in it comes and goes.

import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { textOfError } from '../transport/index.ts';
import type { ActorLog } from './actor.ts';
import type { ActorAddress } from './address.ts';
import { checkAddress } from './arguments.ts';
import { RuntimeError } from './errors.ts';
import { type MoveParticipant, Mover, systemParticipant, threadParticipant } from './move.ts';
import type { PlacementTable } from './placement.ts';
import { PoolThread } from './pool-thread.ts';
import { Rebalancer } from './rebalancer.ts';
import type { Seams, Timer } from './seams.ts';
import { StallWatch } from './stall-watch.ts';
import { afterResume, type FailureHistory, judgeFailure } from './supervision.ts';
import type { ActorSystem } from './system.ts';
import { ThreadLinks } from './thread.ts';
import { ignoreThreadLost, ThreadBroadcasts } from './thread-broadcasts.ts';
import { mainRole, mainThreadId, type ThreadFigures } from './thread-contract.ts';
import { lookAtLoads, mayShare } from './thread-loads.ts';
import type { Slot, ThreadGroup, ThreadLoss, ThreadTuning } from './thread-slot.ts';

export interface ThreadPoolOptions {
  entry: URL;
  groups: readonly ThreadGroup[];
  roles: Readonly<Record<string, string>>;
  threadData: unknown;
  refuseAskCycles: boolean;
  /** Main's own system: a peer of every thread. */
  system: ActorSystem;
  seams: Seams;
  log: ActorLog;
  tuning: ThreadTuning;
  onThreadLost(loss: ThreadLoss): void;
  onFatal(reason: Error): void;
}

export class ThreadPool {
  readonly slots: Slot[] = [];
  /** In drain order. */
  readonly groups: readonly ThreadGroup[];
  readonly links = new ThreadLinks();
  readonly #options: ThreadPoolOptions;
  readonly #broadcasts: ThreadBroadcasts;
  readonly #keepAlive: MessageChannel;
  /** Placed from the beginning, so that starting them moves no actor; until then they are as good as lost. */
  readonly #deferred: { threadId: number; group: ThreadGroup }[] = [];
  #table: PlacementTable;
  #history: FailureHistory | undefined;
  #checks: Timer | undefined;
  /** Grows whenever a thread joins or is lost. */
  #meshVersion = 0;
  readonly #mover: Mover;
  readonly #rebalancer: Rebalancer;
  /** Set once, by a drain, a stop or a fatal loss: from then on a thread that ends is not replaced. */
  #ending = false;
  #closed = false;
  #started = false;

  constructor(options: ThreadPoolOptions) {
    this.#options = options;
    this.#broadcasts = new ThreadBroadcasts(options.tuning.callTimeoutMs);
    this.groups = options.groups;
    this.#keepAlive = holdProcess();
    const groups = options.groups.flatMap((group) => new Array<ThreadGroup>(group.count).fill(group));
    const threadsByRole: Record<string, number[]> = { [mainRole]: [mainThreadId] };
    for (const [index, group] of groups.entries()) {
      const threadId = index + 1;
      threadsByRole[group.role] = [...(threadsByRole[group.role] ?? []), threadId];
      if (group.deferred === true) this.#deferred.push({ threadId, group });
      else this.slots.push(this.#createSlot(threadId, group));
    }
    this.#table = { epoch: 1, threadsByRole, pins: {} };
    this.#mover = new Mover(
      {
        roles: options.roles,
        participants: () => this.#participants(),
        refusal: () => this.#refusal(),
        meshVersion: () => this.#meshVersion,
        table: () => this.#table,
        adopt: (table) => {
          this.#table = table;
        },
      },
      options.tuning.moveMs,
    );
    this.#rebalancer = new Rebalancer({
      clock: options.seams.clock,
      log: options.log,
      options: options.tuning.rebalance,
      look: () => lookAtLoads(this.#live(), options.tuning.callTimeoutMs),
      move: (address, threadId) => this.pin(address, threadId),
    });
  }

  /** Resolves when every thread is ready, linked with every other and knows the placement. */
  async start(): Promise<void> {
    try {
      await Promise.all(this.slots.map((slot) => this.#bringUp(slot, slot.thread)));
    } catch (error) {
      this.#ending = true;
      await Promise.all(this.slots.map((slot) => slot.thread.terminate()));
      this.close();
      throw error;
    }
    this.#options.system.setPlacement(this.#table);
    this.#started = true;
    this.#checkLater();
    if (this.groups.some(mayShare)) this.#rebalancer.start();
  }

  /** Starts the threads of a deferred group, once. One that does not come up is tried again like any lost thread. */
  async startGroup(role: string): Promise<void> {
    const due = this.#ending ? [] : this.#deferred.filter(({ group }) => group.role === role);
    if (due.length === 0) return;
    this.#deferred.splice(0, this.#deferred.length, ...this.#deferred.filter(({ group }) => group.role !== role));
    const slots = due.map(({ threadId, group }) => this.#createSlot(threadId, group));
    this.slots.push(...slots);
    await Promise.allSettled(slots.map((slot) => this.#bringUp(slot, slot.thread)));
  }

  /** Resolves when every live thread applied it. Threads that come later get `lasting` before their actors start. */
  async broadcast(topic: string, value: unknown, lasting: unknown): Promise<void> {
    const threads = this.#live().map((slot) => slot.thread);
    await this.#broadcasts.send(threads, topic, value, lasting);
  }

  /** Moves the actor there, alive or not, and keeps it there; undefined lets it go where the hash says. */
  async pin(address: ActorAddress, threadId: number | undefined): Promise<void> {
    checkAddress(address?.kind, address?.key);
    await this.#mover.move(address, threadId);
  }

  /** Printed address → thread. */
  pins(): Readonly<Record<string, number>> {
    return this.#table.pins;
  }

  /** Undefined when the thread gave no answer in time. */
  async figures(slot: Slot, timeoutMs: number): Promise<ThreadFigures | undefined> {
    if (slot.state !== 'live' && slot.state !== 'draining') return undefined;
    return await slot.thread.control.call('figures', [], { timeoutMs }).catch(() => undefined);
  }

  /** From now on threads that end are not replaced. */
  beginEnd(): void {
    this.#ending = true;
    this.#checks?.cancel();
    this.#rebalancer.stop();
  }

  close(): void {
    this.#closed = true;
    this.links.close();
    this.#keepAlive.port1.close();
  }

  #createSlot(threadId: number, group: ThreadGroup): Slot {
    const thread = this.#spawn(threadId, group);
    const startedMs = this.#options.seams.clock.monotonicMs();
    return { threadId, group, state: 'starting', thread, spare: undefined, watch: undefined, restarts: 0, startedMs };
  }

  #spawn(threadId: number, group: ThreadGroup): PoolThread {
    const { entry, roles, threadData, refuseAskCycles, log } = this.#options;
    const { role, heapMbMax } = group;
    return new PoolThread({ entry, threadId, role, roles, threadData, refuseAskCycles, heapMbMax, log });
  }

  /** Makes `thread` the live one of its slot, or rejects; then it is on its way out. */
  async #bringUp(slot: Slot, thread: PoolThread): Promise<void> {
    slot.thread = thread;
    slot.state = 'starting';
    void thread.exited.then((reason) => this.#onExit(slot, thread, reason));
    try {
      await thread.control.call('ready', [], { timeoutMs: this.#options.tuning.startTimeoutMs });
      // Its group may have been drained while it started: what began in it now would never be stopped.
      if (this.#ending) throw new RuntimeError('DRAINING', 'expected no thread to join while the runtime ends');
      await this.#join(slot, thread);
    } catch (error) {
      await thread.terminate();
      throw error;
    }
    const { tuning, seams } = this.#options;
    slot.startedMs = seams.clock.monotonicMs();
    slot.watch = new StallWatch({
      heartbeat: thread.heartbeat,
      probe: () => thread.control.call('probe', [], { timeoutMs: tuning.stallCheckMs * (tuning.stallChecksMax + 2) }),
      checksMax: tuning.stallChecksMax,
    });
  }

  /**
   * Broadcast values first, then links, then placement: an actor starts with its first message, so no actor of the
   * thread runs before it knows what the others know. From the moment it is `live` threads that join later link to it.
   */
  async #join(slot: Slot, thread: PoolThread): Promise<void> {
    const timeoutMs = this.#options.tuning.callTimeoutMs;
    const peers = this.#live();
    slot.state = 'live';
    this.#meshVersion += 1;
    const done = this.#broadcasts.repeat(thread);
    const toMain = new MessageChannel();
    this.links.attach(this.#options.system, slot.threadId, toMain.port1);
    done.push(attachLink(thread, mainThreadId, toMain.port2, timeoutMs));
    for (const peer of peers) {
      const { port1, port2 } = new MessageChannel();
      done.push(attachLink(thread, peer.threadId, port1, timeoutMs));
      done.push(attachLink(peer.thread, slot.threadId, port2, timeoutMs).catch(ignoreThreadLost));
    }
    done.push(this.#place(thread));
    await Promise.all(done);
  }

  #place(thread: PoolThread): Promise<void> {
    return thread.control.call('setPlacement', [this.#table], { timeoutMs: this.#options.tuning.callTimeoutMs });
  }

  #onExit(slot: Slot, thread: PoolThread, reason: string): void {
    if (slot.thread !== thread) return;
    const wasLive = slot.state === 'live' || slot.state === 'draining';
    slot.watch = undefined;
    this.#meshVersion += 1;
    slot.state = this.#ending ? 'left' : 'lost';
    if (wasLive) this.#detach(slot.threadId, reason);
    if (this.#ending) void slot.spare?.terminate();
    if (this.#ending || !this.#started) return;
    const loss: ThreadLoss = { role: slot.group.role, threadId: slot.threadId, reason };
    const { seams, tuning, log, onFatal } = this.#options;
    const facts = { nowMs: seams.clock.monotonicMs(), isEnvironment: false, chance: seams.random.next() };
    const verdict = judgeFailure(this.#history, tuning.supervision, facts);
    if (slot.group.expendable === true) {
      log.error({ ...loss }, 'lost a thread for code of others, starting it again');
      if (slot.spare !== undefined) this.#respawn(slot, loss);
      else seams.clock.setTimer(tuning.supervision.minBackoffMs, () => this.#respawn(slot, loss));
      return;
    }
    if (verdict.action !== 'restart') {
      log.error({ ...loss }, 'lost threads too often');
      this.beginEnd();
      onFatal(
        new RuntimeError('THREAD_LOST', `expected threads to live, but thread ${slot.threadId} was lost: ${reason}`),
      );
      return;
    }
    this.#history = verdict.history;
    log.error({ ...loss, delayMs: verdict.delayMs }, 'lost a thread, starting it again');
    if (slot.spare === undefined) seams.clock.setTimer(verdict.delayMs, () => this.#respawn(slot, loss));
    else this.#respawn(slot, loss);
  }

  /** Asks to the lost thread reject here and in every other thread; its ports are closed. */
  #detach(threadId: number, reason: string): void {
    this.links.detach(this.#options.system, threadId, reason);
    const timeoutMs = this.#options.tuning.callTimeoutMs;
    for (const slot of this.#live()) {
      slot.thread.control.call('detachLink', [threadId, reason], { timeoutMs }).catch(ignoreThreadLost);
    }
  }

  #respawn(slot: Slot, loss: ThreadLoss): void {
    if (this.#ending) return;
    const thread = slot.spare ?? this.#spawn(slot.threadId, slot.group);
    slot.spare = undefined;
    slot.restarts += 1;
    this.#bringUp(slot, thread).then(
      () => {
        if (this.#history !== undefined) {
          this.#history = afterResume(this.#history, this.#options.seams.clock.monotonicMs());
        }
        this.#options.onThreadLost(loss);
      },
      (error: unknown) => {
        // It was terminated, or is gone: its exit decides what happens next.
        if (!this.#ending) this.#options.log.error({ ...loss, error: textOfError(error) }, 'a thread did not start');
      },
    );
  }

  #checkLater(): void {
    const { seams, tuning } = this.#options;
    this.#checks = seams.clock.setTimer(tuning.stallCheckMs, () => {
      for (const slot of this.#live()) if (slot.watch?.check() === true) void this.#onStall(slot, slot.watch);
      if (!this.#ending) this.#checkLater();
    });
  }

  /**
   * The spare is ready before the stuck thread is ended, but placed only after the exit: there must never be two live
   * instances of an actor. A thread with native storage is left alone: ending it amid a native call can end the process.
   */
  async #onStall(slot: Slot, watch: StallWatch): Promise<void> {
    const { log, tuning } = this.#options;
    // No actor: it is stuck behind an await, in a timer, or in code of no actor.
    const actor = slot.thread.running.read() ?? 'none';
    const fields = { thread: slot.threadId, role: slot.group.role, actor, checks: tuning.stallChecksMax };
    log.error(fields, 'a thread takes no turns and does not answer');
    if (slot.group.drainOnly === true) return;
    const stuck = slot.thread;
    const spare = this.#spawn(slot.threadId, slot.group);
    const isReady = await spare.control.call('ready', [], { timeoutMs: tuning.startTimeoutMs }).then(
      () => true,
      () => false,
    );
    if (!isReady || this.#ending || slot.thread !== stuck || !watch.stalled) {
      log.warn(fields, 'the spare thread is not needed, or did not start');
      await spare.terminate();
      if (isReady || this.#ending || slot.thread !== stuck) return;
    } else {
      slot.spare = spare;
    }
    await stuck.terminate();
  }

  #refusal(): RuntimeError | undefined {
    if (this.#closed) return new RuntimeError('STOPPED', 'expected a running runtime, got one that has stopped');
    return this.#ending ? new RuntimeError('DRAINING', 'expected no actor to move while the runtime ends') : undefined;
  }

  #participants(): MoveParticipant[] {
    const { system, tuning } = this.#options;
    const workers = this.#live().map((slot) =>
      threadParticipant(slot.threadId, slot.thread.control, tuning.callTimeoutMs),
    );
    return [systemParticipant(system), ...workers];
  }

  #live(): Slot[] {
    return this.slots.filter((slot) => slot.state === 'live' || slot.state === 'draining');
  }
}

function attachLink(thread: PoolThread, peer: number, port: MessagePort, timeoutMs: number): Promise<void> {
  return thread.control.call('attachLink', [peer, port], { timeoutMs, transfer: [port] });
}

/** A runtime keeps its process alive until it is closed, also while its only worker is being replaced. */
function holdProcess(): MessageChannel {
  const channel = new MessageChannel();
  channel.port1.ref();
  return channel;
}
