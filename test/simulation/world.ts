// A process of simulated threads: the real runtime over a virtual clock and memory links, where a seeded draw decides
// what happens next: a turn of some thread, a frame arriving, a timer, or a fault. Between two steps one real turn of
// the loop lets every promise go on, so the same seed gives the same run, event for event.

import {
  type ActorDefinition,
  type ActorLog,
  ActorSystem,
  type Clock,
  type Executor,
  type PlacementTable,
  parseAddress,
  type Random,
  realTurn,
  seededRandom,
  VirtualClock,
} from '../../runtime/index.ts';
import { type MoveParticipant, Mover } from '../../runtime/move.ts';
import { createMemoryLinks, type Link } from '../../transport/index.ts';
import { type LinkEnd, windowBytes, windowEnvelopes } from './invariants.ts';

/** Probabilities per step, but for the last three: per frame, per message and per commit. */
export interface Faults {
  threadKill: number;
  linkStall: number;
  move: number;
  clockJump: number;
  earlyTimer: number;
  frameDelay: number;
  slowHandler: number;
  handlerFailure: number;
  storageFailure: number;
}

export const noFaults: Faults = {
  threadKill: 0,
  linkStall: 0,
  move: 0,
  clockJump: 0,
  earlyTimer: 0,
  frameDelay: 0,
  slowHandler: 0,
  handlerFailure: 0,
  storageFailure: 0,
};

export interface SimulatedThread {
  readonly threadId: number;
  readonly role: string;
  system: ActorSystem;
  isAlive: boolean;
  /** Grows with every respawn. */
  life: number;
  tasks: (() => void)[];
  links: Map<number, Link>;
}

interface Wire {
  frames: { deliver: () => void; readyMs: number }[];
  stalledUntilMs: number;
}

export interface WorldOptions {
  seed: number;
  roles: readonly string[];
  kindRoles: Readonly<Record<string, string>>;
  /** Called for every life of every thread. */
  definitions(world: World, thread: SimulatedThread): readonly ActorDefinition<never>[];
  /** Addresses that may be moved, and the role whose threads may have them. */
  movable(world: World): string[];
  movableRole: string;
  mortalRoles: readonly string[];
  faults: Faults;
}

/** Somebody sets the clock, or its synchronisation does: up to an hour, either way. */
const clockJumpMsMax = 3_600_000;

const quietLog: ActorLog = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

export class World {
  readonly clock = new VirtualClock();
  readonly random: Random;
  readonly threads: SimulatedThread[];
  readonly onKill: ((thread: SimulatedThread) => void)[] = [];
  faults: Faults;
  table: PlacementTable;
  steps = 0;
  kills = 0;
  moves = 0;
  /** By how much the clock on the wall was set: time that only passes does not know. */
  private wallShiftMs = 0;
  private hash = 0x811c9dc5;
  private readonly recent: string[] = [];
  private readonly wires = new Map<string, Wire>();
  private readonly options: WorldOptions;
  isMoving = false;
  private readonly mover: Mover;

  constructor(options: WorldOptions) {
    this.options = options;
    this.random = seededRandom(options.seed);
    this.faults = options.faults;
    const threadsByRole: Record<string, number[]> = {};
    for (const [threadId, role] of options.roles.entries()) {
      threadsByRole[role] = [...(threadsByRole[role] ?? []), threadId];
    }
    this.table = { epoch: 1, threadsByRole, pins: {} };
    this.threads = options.roles.map((role, threadId) => this.spawn(threadId, role));
    for (const thread of this.threads) this.connect(thread, (peer) => peer.threadId > thread.threadId);
    const host = {
      roles: options.kindRoles,
      participants: () => this.threads.filter(({ isAlive }) => isAlive).map((thread) => this.participantOf(thread)),
      refusal: () => undefined,
      meshVersion: () => this.threads.reduce((sum, { life }) => sum + life, this.kills),
      table: () => this.table,
      adopt: (table: PlacementTable) => {
        this.table = table;
      },
    };
    this.mover = new Mover(host, 500);
  }

  /** Everything that happens is noted; the hash over all notes is the identity of a run. */
  note(text: string): void {
    for (let index = 0; index < text.length; index += 1) {
      this.hash = Math.imul(this.hash ^ text.charCodeAt(index), 0x01000193) >>> 0;
    }
    this.recent.push(`${this.clock.monotonicMs().toFixed(1)} ${text}`);
    if (this.recent.length > 200) this.recent.shift();
  }

  get eventHash(): string {
    return this.hash.toString(16);
  }

  get lastEvents(): readonly string[] {
    return this.recent;
  }

  get isWhole(): boolean {
    return this.threads.every((thread) => thread.isAlive);
  }

  /** Nothing is under way between threads, and nobody waits for an answer. */
  get isAtRest(): boolean {
    if (!this.isWhole || this.isMoving) return false;
    for (const { frames } of this.wires.values()) if (frames.length > 0) return false;
    return this.threads.every(({ system, tasks }) => tasks.length === 0 && system.stats().asksPending === 0);
  }

  linkEnds(): LinkEnd[] {
    const ends: LinkEnd[] = [];
    for (const { threadId, links } of this.threads) {
      for (const [peer, link] of links) {
        const far = this.threadOf(peer).links.get(threadId);
        if (far !== undefined) ends.push({ name: wireName(threadId, peer), near: link.stats(), far: far.stats() });
      }
    }
    return ends;
  }

  happens(probability: number): boolean {
    return probability > 0 && this.random.next() < probability;
  }

  threadOf(threadId: number): SimulatedThread {
    const thread = this.threads[threadId];
    if (thread === undefined) throw new Error(`expected a thread ${threadId}`);
    return thread;
  }

  /** One step. False when nothing can happen any more before `limitMs`. */
  async step(limitMs: number): Promise<boolean> {
    this.steps += 1;
    this.injectFaults();
    const choices = this.choices();
    let hasHappened = true;
    if (choices.length > 0 && !this.happens(this.faults.earlyTimer)) choices[this.random.integer(choices.length)]?.();
    else hasHappened = this.clock.fireNext(limitMs) || choices.length > 0;
    await realTurn();
    return hasHappened;
  }

  async runUntil(isDone: () => boolean, limitMs: number): Promise<void> {
    while (!isDone() && (await this.step(limitMs))) if (this.clock.monotonicMs() > limitMs) return;
  }

  kill(thread: SimulatedThread): void {
    this.note(`kill ${thread.threadId}`);
    this.kills += 1;
    thread.isAlive = false;
    thread.tasks = [];
    for (const listener of this.onKill) listener(thread);
    for (const peer of this.threads) {
      this.wires.delete(wireName(thread.threadId, peer.threadId));
      this.wires.delete(wireName(peer.threadId, thread.threadId));
      const link = peer.links.get(thread.threadId);
      peer.links.delete(thread.threadId);
      if (peer === thread || link === undefined) continue;
      link.close();
      if (peer.isAlive) peer.system.detachLink(thread.threadId, 'killed');
    }
    this.clock.setTimer(100 + this.random.integer(400), () => this.respawn(thread));
  }

  private respawn(thread: SimulatedThread): void {
    this.note(`respawn ${thread.threadId}`);
    const fresh = this.spawn(thread.threadId, thread.role, thread.life + 1);
    this.threads[thread.threadId] = fresh;
    this.connect(fresh, (peer) => peer !== fresh && peer.isAlive);
  }

  private spawn(threadId: number, role: string, life = 0): SimulatedThread {
    const links = new Map<number, Link>();
    const thread = { threadId, role, isAlive: true, life, tasks: [] as (() => void)[], links };
    const executor: Executor = {
      nextTurn: (run) => {
        if (thread.isAlive) thread.tasks.push(run);
      },
    };
    const clock: Clock = {
      nowMs: () => this.clock.nowMs() + this.wallShiftMs,
      monotonicMs: () => this.clock.monotonicMs(),
      setTimer: (delayMs, callback) => this.clock.setTimer(delayMs, () => (thread.isAlive ? callback() : undefined)),
    };
    const random = seededRandom(this.random.integer(2 ** 31));
    const spawned: SimulatedThread = Object.assign(thread, {
      system: new ActorSystem({
        threadId,
        role,
        roles: this.options.kindRoles,
        definitions: [],
        seams: { clock, random, executor },
        log: quietLog,
      }),
    });
    spawned.system.setPlacement(this.table);
    for (const definition of this.options.definitions(this, spawned)) spawned.system.define({ ...definition, role });
    return spawned;
  }

  private connect(thread: SimulatedThread, isPeer: (peer: SimulatedThread) => boolean): void {
    for (const peer of this.threads.filter(isPeer)) {
      const wires = new Map<number, Wire>();
      for (const [from, to] of [
        [thread, peer],
        [peer, thread],
      ] as const) {
        const wire: Wire = { frames: [], stalledUntilMs: 0 };
        wires.set(from.threadId, wire);
        this.wires.set(wireName(from.threadId, to.threadId), wire);
      }
      const [near, far] = createMemoryLinks({
        threads: [thread.threadId, peer.threadId],
        schedule: (deliver, { from }) => this.post(wires.get(from), deliver),
        link: { windowEnvelopes, windowBytes, frameBytesMax: 4 * 1024 },
      });
      thread.links.set(peer.threadId, near);
      peer.links.set(thread.threadId, far);
      thread.system.attachLink(near);
      peer.system.attachLink(far);
    }
  }

  private post(wire: Wire | undefined, deliver: () => void): void {
    const delayMs = this.happens(this.faults.frameDelay) ? this.random.integer(50) : 0;
    wire?.frames.push({ deliver, readyMs: this.wakeAfter(delayMs) });
  }

  /** A timer that does nothing, so that the clock can reach that moment. */
  private wakeAfter(delayMs: number): number {
    if (delayMs > 0) this.clock.setTimer(delayMs, () => undefined);
    return this.clock.monotonicMs() + delayMs;
  }

  private choices(): (() => void)[] {
    const choices: (() => void)[] = [];
    for (const thread of this.threads) {
      if (thread.tasks.length > 0) choices.push(() => this.runTask(thread));
    }
    const nowMs = this.clock.monotonicMs();
    for (const [name, wire] of this.wires) {
      const frame = wire.frames[0];
      if (frame === undefined || frame.readyMs > nowMs || wire.stalledUntilMs > nowMs) continue;
      choices.push(() => {
        this.note(`frame ${name}`);
        wire.frames.shift()?.deliver();
      });
    }
    return choices;
  }

  private runTask(thread: SimulatedThread): void {
    this.note(`turn ${thread.threadId}`);
    thread.tasks.shift()?.();
  }

  private injectFaults(): void {
    const { faults, random } = this;
    if (this.happens(faults.threadKill)) {
      const mortal = this.threads.filter((thread) => thread.isAlive && this.options.mortalRoles.includes(thread.role));
      const victim = mortal[random.integer(mortal.length)];
      if (victim !== undefined) this.kill(victim);
    }
    if (this.happens(faults.linkStall)) {
      const wires = [...this.wires.values()];
      const wire = wires[random.integer(wires.length)];
      if (wire !== undefined) wire.stalledUntilMs = this.wakeAfter(random.integer(500));
    }
    if (this.happens(faults.clockJump)) {
      this.wallShiftMs += random.integer(2 * clockJumpMsMax) - clockJumpMsMax;
      this.note(`clock set by ${this.wallShiftMs}`);
    }
    if (!this.isMoving && this.happens(faults.move)) void this.move();
  }

  private async move(): Promise<void> {
    const addresses = this.options.movable(this);
    const address = addresses[this.random.integer(addresses.length)];
    const places = this.table.threadsByRole[this.options.movableRole] ?? [];
    const to = places[this.random.integer(places.length)];
    if (address === undefined || to === undefined) return;
    const from = this.threadOf(to).system.ownerOf(address);
    if (from === undefined || from === to) return;
    this.isMoving = true;
    const isMoved = await this.mover.move(parseAddress(address), to).then(
      () => true,
      () => false,
    );
    this.isMoving = false;
    if (isMoved) this.moves += 1;
    this.note(`move ${address} ${from} to ${to}: ${isMoved}`);
  }

  private participantOf(thread: SimulatedThread): MoveParticipant {
    return {
      threadId: thread.threadId,
      hold: (address, epoch) => this.call(thread, () => thread.system.hold(address, epoch)),
      handOver: (address, epoch, options) => this.call(thread, () => thread.system.handOver(address, epoch, options)),
      fence: (address, epoch) => this.call(thread, () => thread.system.fence(address, epoch)),
      release: (address, epoch, table) => this.call(thread, () => thread.system.release(address, epoch, table)),
    };
  }

  /** A control call: some time later, in that thread; rejected when the thread dies first. */
  private call<Value>(thread: SimulatedThread, run: () => Value | Promise<Value>): Promise<Value> {
    return new Promise((resolve, reject) => {
      const lost = (): void => reject(new Error(`thread ${thread.threadId} is lost`));
      this.onKill.push((victim) => {
        if (victim === thread) lost();
      });
      if (!thread.isAlive) lost();
      this.clock.setTimer(this.random.integer(5), () => {
        if (thread.isAlive) Promise.resolve(run()).then(resolve, reject);
        else lost();
      });
    });
  }
}

function wireName(from: number, to: number): string {
  return `${from}>${to}`;
}
