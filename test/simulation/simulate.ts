// One simulated run per seed: a busy time with faults, a quiet time in which everything must recover, a drain, and the
// invariants. Run many by `npm run simulate` (main.ts) or as a test.

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { type DeadLetter, deadLetterChannel, seededRandom } from '../../runtime/index.ts';
import { Invariants, type Job } from './invariants.ts';
import { Database, definitionsFor, kindRoles, type StoreMessage, storeKey, type Talk } from './workload.ts';
import { type Faults, noFaults, World } from './world.ts';

export interface SimulationResult {
  seed: number;
  violations: readonly string[];
  lastEvents: readonly string[];
  /** Equal for equal runs. */
  eventHash: string;
  steps: number;
  kills: number;
  moves: number;
  deliveries: number;
  asks: number;
}

const items = 40;
const users = 6;
const partitions = 4;
const talks = 40;
const busyMs = 2000;
const recoverMs = 120_000;
const restMs = 10_000;

export async function runSimulation(seed: number): Promise<SimulationResult> {
  const draw = seededRandom(seed ^ 0x5eed);
  const invariants = new Invariants();
  const database = new Database();
  const workers = 2 + draw.integer(3);
  const roles = ['main', ...new Array<string>(workers).fill('worker'), 'storage'];
  const faults = chooseFaults(draw);
  const world = new World({
    seed,
    roles,
    kindRoles,
    definitions: (owner, thread) => definitionsFor({ world: owner, thread, database, invariants }),
    movable: () => movableAddresses,
    movableRole: 'worker',
    mortalRoles: ['worker', 'storage'],
    faults,
  });
  world.onKill.push((thread) => invariants.threadKilled(thread.threadId));
  let lostLetters = 0;
  const onLetter = (letter: unknown): void => {
    const { reason, to } = letter as DeadLetter;
    world.note(`dead ${reason} ${to.kind}/${to.key}`);
    if (to.kind === 'listener' && reason !== 'handler-failed') lostLetters += 1;
  };
  subscribe(deadLetterChannel, onLetter);
  try {
    const client = new Client(world, invariants);
    client.start();
    await world.runUntil(() => world.clock.monotonicMs() >= busyMs, busyMs);
    world.faults = noFaults;
    await world.runUntil(() => world.isWhole && client.isDone && invariants.isRecovered(), busyMs + recoverMs);
    await world.runUntil(() => world.isAtRest, busyMs + recoverMs + restMs);
    if (world.isAtRest) {
      invariants.checkLinks(world.linkEnds());
      for (const { system } of world.threads) invariants.checkHolds(system.stats());
    } else invariants.violations.push('rest: something never ended while nothing was wrong any more');
    // Some seeds go on moving actors while they stop, and all have asks under way: the client never pauses.
    if (draw.next() < 0.3) world.faults = { ...noFaults, move: 0.1, frameDelay: 0.2 };
    const drained = Promise.all(world.threads.map((thread) => thread.system.drain(5000)));
    let isDrained = false;
    void drained.then(() => {
      isDrained = true;
    });
    client.stop();
    await world.runUntil(() => isDrained, busyMs + recoverMs * 2);
    if (!isDrained) invariants.violations.push('drain: it never ended');
    world.faults = noFaults;
    await world.runUntil(() => false, world.clock.monotonicMs() + 2000);
    if (world.isMoving) invariants.violations.push('drain: a move never ended');
    for (const { system } of world.threads) invariants.checkStopped(system.stats());
    invariants.checkEnd({ lostLetters, hadKills: world.kills > 0, acceptedMin: items });
  } finally {
    unsubscribe(deadLetterChannel, onLetter);
  }
  return {
    seed,
    violations: invariants.violations,
    lastEvents: world.lastEvents,
    eventHash: world.eventHash,
    steps: world.steps,
    kills: world.kills,
    moves: world.moves,
    deliveries: invariants.deliveries,
    asks: invariants.asksOpened,
  };
}

const movableAddresses = [
  ...Array.from({ length: partitions }, (_, index) => `stage/p${index}`),
  ...Array.from({ length: 4 }, (_, index) => `listener/l${index}`),
];

/** Every seed has its own weather: some calm, some with one kind of fault, some with all. */
function chooseFaults(draw: { next(): number }): Faults {
  const maybe = (probability: number) => (draw.next() < 0.6 ? probability * draw.next() : 0);
  return {
    threadKill: maybe(0.002),
    linkStall: maybe(0.01),
    move: maybe(0.08),
    clockJump: maybe(0.003),
    earlyTimer: 0.05 + 0.2 * draw.next(),
    frameDelay: maybe(0.3),
    slowHandler: maybe(0.05),
    handlerFailure: maybe(0.02),
    storageFailure: maybe(0.2),
  };
}

/** The world outside: submits items of each user one after the other, each until it is accepted, and makes talk. */
class Client {
  private readonly world: World;
  private readonly invariants: Invariants;
  private left = items;
  private isStopped = false;

  constructor(world: World, invariants: Invariants) {
    this.world = world;
    this.invariants = invariants;
  }

  get isDone(): boolean {
    return this.left === 0;
  }

  start(): void {
    for (let user = 0; user < users; user += 1) this.submitNext(user, 1);
    for (let index = 0; index < talks; index += 1) {
      this.world.clock.setTimer(this.world.random.integer(busyMs), () => this.talk());
    }
    this.wake();
  }

  stop(): void {
    this.isStopped = true;
  }

  private submitNext(user: number, sequence: number): void {
    const itemId = `u${user}-${sequence}`;
    const share = Math.floor(items / users) + (user < items % users ? 1 : 0);
    if (sequence > share) return;
    const item = { itemId, partition: `p${user % partitions}`, user: `u${user}`, sequence };
    this.world.clock.setTimer(this.world.random.integer(busyMs / share), () => this.submit(item, user));
  }

  private submit(item: Omit<Job, 'jobId'>, user: number): void {
    const ask = this.invariants.askOpened(0);
    const message: StoreMessage = { kind: 'store', item };
    this.store()
      .ask(message, { timeoutMs: 200 })
      .then(
        () => {
          this.invariants.askEnded(ask);
          this.invariants.itemAccepted({ ...item, jobId: 0 });
          this.left -= 1;
          this.submitNext(user, item.sequence + 1);
        },
        () => {
          this.invariants.askEnded(ask);
          if (!this.isStopped) this.world.clock.setTimer(100, () => this.submit(item, user));
        },
      );
  }

  private talk(): void {
    const { random } = this.world;
    const talk: Talk = { to: `l${random.integer(4)}`, count: 1 + random.integer(60) };
    this.world
      .threadOf(0)
      .system.ref<Talk>('talker', `t${random.integer(4)}`)
      .tell(talk);
  }

  /** What the owner of the runtime does after a thread was lost, here simply every few seconds. */
  private wake(): void {
    if (this.isStopped) return;
    this.store().tell({ kind: 'wake' });
    this.world.clock.setTimer(3000, () => this.wake());
  }

  private store() {
    return this.world.threadOf(0).system.ref<StoreMessage>('store', storeKey);
  }
}
