// Fairness as numbers: how long a light actor waits beside heavy ones, and how thread time is shared, on virtual time.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ActorAddress } from '../../runtime/index.ts';
import { type Schedulable, Scheduler, type Slice, schedulerDefaults } from '../../runtime/scheduler.ts';
import { VirtualClock, VirtualExecutor } from '../../runtime/virtual-seams.ts';

/** Handles messages that take a fixed time each. */
class Worker implements Schedulable {
  readonly address: ActorAddress;
  readonly place = 0;
  readonly isInteractive: boolean;
  isQueued = false;
  debtUs = 0;
  busyUs = 0;
  usedMs = 0;
  handled = 0;
  waiting: number;
  handledAtMs: number[] = [];
  readonly messageMs: number;
  private readonly clock: VirtualClock;

  constructor(clock: VirtualClock, messageMs: number, waiting = Number.POSITIVE_INFINITY, isInteractive = false) {
    this.clock = clock;
    this.messageMs = messageMs;
    this.address = { kind: 'worker', key: String(messageMs) };
    this.waiting = waiting;
    this.isInteractive = isInteractive;
  }

  runSlice(slice: Slice): boolean {
    while (this.waiting > 0) {
      this.waiting -= 1;
      this.clock.spend(this.messageMs);
      this.usedMs += this.messageMs;
      this.handled += 1;
      this.handledAtMs.push(this.clock.monotonicMs());
      if (slice.isSpent()) break;
    }
    return this.waiting > 0;
  }
}

function setup() {
  const clock = new VirtualClock();
  const executor = new VirtualExecutor();
  const warnings: Record<string, unknown>[] = [];
  const silent = () => undefined;
  let turnEnds = 0;
  const heartbeat = new Int32Array(2);
  const scheduler = new Scheduler({
    clock,
    executor,
    heartbeat,
    log: { debug: silent, info: silent, error: silent, warn: (fields) => warnings.push(fields) },
    endTurn: () => {
      turnEnds += 1;
    },
  });
  const run = (untilMs: number): void => {
    while (clock.monotonicMs() < untilMs && executor.runTurn());
  };
  return { clock, executor, scheduler, warnings, run, heartbeat, turnEnds: () => turnEnds };
}

test('always-busy actors share the thread by time, not by messages', () => {
  const costs = fc.array(fc.double({ min: 0.01, max: 30, noNaN: true }), { minLength: 2, maxLength: 8 });
  fc.assert(
    fc.property(costs, (messageMs) => {
      const { clock, scheduler, run } = setup();
      const workers = messageMs.map((cost) => new Worker(clock, cost));
      for (const worker of workers) scheduler.enqueue(worker);
      run(20_000);
      // A slice of cheap messages ends at 16 messages: such an actor cannot use a whole 2 ms and is not owed more.
      const full = workers.filter((worker) => worker.messageMs * schedulerDefaults.sliceMessagesMax >= 2);
      const used = full.map((worker) => worker.usedMs);
      const slackMs = 4 * Math.max(...messageMs) + 8 * schedulerDefaults.sliceMs;
      const spreadMs = Math.max(...used) - Math.min(...used);
      assert.ok(full.length < 2 || spreadMs <= slackMs, `spread of ${spreadMs} ms with ${messageMs.join()}`);
    }),
    { numRuns: 60 },
  );
});

test('a light actor beside a saturating one waits for one heavy message at most', () => {
  for (const heavyMs of [0.1, 5, 40]) {
    const { clock, scheduler, run } = setup();
    const heavy = new Worker(clock, heavyMs);
    scheduler.enqueue(heavy);
    run(200);
    const waits: number[] = [];
    for (let round = 0; round < 50; round += 1) {
      const light = new Worker(clock, 0.01, 1);
      const arrivedMs = clock.monotonicMs();
      scheduler.enqueue(light);
      while (light.handled === 0) run(clock.monotonicMs() + 0.001);
      waits.push((light.handledAtMs[0] ?? 0) - arrivedMs);
      run(clock.monotonicMs() + 17);
    }
    const boundMs = Math.max(heavyMs, schedulerDefaults.sliceMs) + 4 * Math.min(heavyMs, schedulerDefaults.sliceMs);
    assert.ok(Math.max(...waits) <= boundMs + 0.1, `waited ${Math.max(...waits)} ms beside ${heavyMs} ms messages`);
  }
});

test('interactive work is served four slices to one, and batch work never starves', () => {
  const { clock, scheduler, run } = setup();
  const interactive = new Worker(clock, 0.5, Number.POSITIVE_INFINITY, true);
  const batch = new Worker(clock, 0.5);
  scheduler.enqueue(batch);
  scheduler.enqueue(interactive);
  run(10_000);
  const ratio = interactive.usedMs / batch.usedMs;
  assert.ok(ratio > 3.8 && ratio < 4.2, `ratio ${ratio}`);
});

test('a turn ends after 8 ms although work is left, and its end flushes', () => {
  const { clock, executor, scheduler, turnEnds, heartbeat } = setup();
  scheduler.enqueue(new Worker(clock, 1));
  scheduler.enqueue(new Worker(clock, 1));
  executor.runTurn();
  assert.ok(clock.monotonicMs() >= 8 && clock.monotonicMs() <= 12);
  assert.equal(turnEnds(), 1);
  assert.deepEqual([...heartbeat], [1, 1]);
});

test('what a slice asks for at the end of its turn is done then, without another turn', () => {
  const { executor, scheduler, turnEnds } = setup();
  scheduler.enqueue({
    isInteractive: false,
    isQueued: false,
    debtUs: 0,
    busyUs: 0,
    address: { kind: 'worker', key: 'a' },
    place: 0,
    runSlice: () => {
      scheduler.requestTurn();
      return false;
    },
  });
  assert.deepEqual([executor.runTurn(), executor.runTurn(), turnEnds()], [true, false, 1]);
});

test('the heartbeat says when nothing is left to do', () => {
  const { clock, executor, scheduler, heartbeat } = setup();
  scheduler.enqueue(new Worker(clock, 1, 1));
  executor.runTurn();
  assert.deepEqual([...heartbeat], [1, 0]);
});

test('a slice over 50 ms is reported with the name of its actor', () => {
  const { clock, executor, scheduler, warnings } = setup();
  scheduler.enqueue(new Worker(clock, 60, 1));
  executor.runTurn();
  assert.deepEqual(warnings, [{ kind: 'worker', key: '60', elapsedMs: 60, messages: 1 }]);
  assert.equal(scheduler.stats().longSlices, 1);
});
