// Moves between real actor systems over in-memory links, with every frame and turn in random order: whatever the
// interleaving, each sender's messages are handled once and in order, and so is what the moved actor sends, whether the
// move succeeds or is called off.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ActorLog, ActorSystem, defineActor, type PlacementTable, virtualSeams } from '../../runtime/index.ts';
import { type MoveHost, type MoveParticipant, Mover, systemParticipant } from '../../runtime/move.ts';
import { realTurn } from '../../runtime/seams.ts';
import { createMemoryLinks } from '../../transport/index.ts';

interface Numbered {
  sender: number;
  value: number;
}

const silent: ActorLog = { debug: ignore, info: ignore, warn: ignore, error: ignore };
function ignore(): void {}

const address = { kind: 'sink', key: 'a' };
const roles = { sink: 'worker', tail: 'main' };

/** Main (0) and two workers; `run` advances one random thing at a time until `until` holds and nothing is left to do. */
function setup(seed: number) {
  const { clock, executor, random } = virtualSeams(seed);
  const turns: (() => void)[] = [];
  const handled: (Numbered & { threadId: number })[] = [];
  const forwarded: Numbered[] = [];
  const systems = [0, 1, 2].map((threadId) => {
    const sink = defineActor<Numbered>({
      kind: 'sink',
      role: 'worker',
      create: (context) => ({
        onMessage: (message) => {
          handled.push({ ...message, threadId });
          context.ref<Numbered>('tail', 'z').tell(message);
        },
      }),
    });
    const tail = defineActor<Numbered>({
      kind: 'tail',
      role: 'main',
      create: () => ({ onMessage: (message) => void forwarded.push(message) }),
    });
    const role = threadId === 0 ? 'main' : 'worker';
    const seams = { clock, random, executor: { nextTurn: (run: () => void) => void turns.push(run) } };
    return new ActorSystem({ threadId, role, roles, definitions: [sink, tail], seams, log: silent });
  });
  for (const [left, system] of systems.entries()) {
    for (const [right, other] of systems.entries()) {
      if (left >= right) continue;
      const schedule = (deliver: () => void) => void turns.push(deliver);
      const [leftLink, rightLink] = createMemoryLinks({ threads: [left, right], schedule });
      system.attachLink(leftLink);
      other.attachLink(rightLink);
    }
  }
  assert.equal(executor.size, 0);
  let table: PlacementTable = { epoch: 1, threadsByRole: { main: [0], worker: [1, 2] }, pins: { 'sink/a': 1 } };
  let meshVersion = 0;
  for (const system of systems) system.setPlacement(table);
  const host: MoveHost = {
    roles,
    participants: () => systems.map(systemParticipant),
    refusal: () => undefined,
    meshVersion: () => meshVersion,
    table: () => table,
    adopt: (next) => {
      table = next;
    },
  };
  const disturb = () => {
    meshVersion += 1;
  };
  const run = async (until: () => boolean) => {
    while (!until() || turns.length > 0) {
      const [turn] = turns.splice(random.integer(turns.length), 1);
      if (turn !== undefined) turn();
      // Promises of the move go on in between, but not after every step.
      if (turn === undefined || random.next() < 0.3) await realTurn();
    }
  };
  return { systems, handled, forwarded, host, disturb, run, random };
}

interface Story {
  seed: number;
  /** Who sends; `move` starts a move to the other worker, `disturb` makes the one under way be called off. */
  steps: (number | 'move' | 'disturb')[];
}

const stories: fc.Arbitrary<Story> = fc.record({
  seed: fc.nat(),
  steps: fc.array(
    fc.oneof(
      { weight: 8, arbitrary: fc.nat(2) },
      { weight: 1, arbitrary: fc.constantFrom('move' as const, 'disturb' as const) },
    ),
    { maxLength: 60 },
  ),
});

test('every message is handled once and in the order of its sender, whatever moves meanwhile', async () => {
  const property = fc.asyncProperty(stories, async ({ seed, steps }) => {
    const { systems, handled, forwarded, host, disturb, run, random } = setup(seed);
    const mover = new Mover(host, 1_000);
    const moves: Promise<unknown>[] = [];
    const sent = [0, 0, 0];
    let target = 2;
    for (const step of steps) {
      if (step === 'move') {
        moves.push(
          mover.move(address, target).catch((error: { code: string }) => assert.equal(error.code, 'MOVE_ABORTED')),
        );
        target = 3 - target;
      } else if (step === 'disturb') {
        disturb();
      } else {
        const value = sent[step] ?? 0;
        assert.equal(systems[step]?.ref<Numbered>('sink', 'a').tell({ sender: step, value }), true);
        sent[step] = value + 1;
      }
      const pause = random.integer(4);
      if (pause === 0) await run(() => true);
      if (pause === 1) await realTurn();
    }
    let isOver = false;
    void Promise.all(moves).then(() => {
      isOver = true;
    });
    await run(() => isOver);
    for (const sender of [0, 1, 2]) {
      const values = handled.filter((one) => one.sender === sender).map((one) => one.value);
      assert.deepEqual(
        values,
        Array.from({ length: sent[sender] ?? 0 }, (_, value) => value),
      );
    }
    assert.deepEqual(
      forwarded,
      handled.map(({ sender, value }) => ({ sender, value })),
    );
  });
  await fc.assert(property, { numRuns: 100 });
});

test('a move takes the actor to its target', async () => {
  const { systems, handled, host, run } = setup(1);
  let isMoved = false;
  void new Mover(host, 1_000).move(address, 2).then(() => {
    isMoved = true;
  });
  await run(() => isMoved);
  systems[0]?.ref<Numbered>('sink', 'a').tell({ sender: 0, value: 0 });
  await run(() => handled.length === 1);
  assert.equal(handled[0]?.threadId, 2);
  assert.equal(host.table().pins['sink/a'], 2);
});

test('a move is called off when a thread comes or goes meanwhile, and the actor stays', async () => {
  const { systems, handled, host, disturb, run } = setup(1);
  let code = '';
  new Mover(host, 1_000).move(address, 2).catch((error: { code: string }) => {
    code = error.code;
  });
  await realTurn();
  disturb();
  await run(() => code !== '');
  assert.equal(code, 'MOVE_ABORTED');
  systems[0]?.ref<Numbered>('sink', 'a').tell({ sender: 0, value: 0 });
  await run(() => handled.length === 1);
  assert.equal(handled[0]?.threadId, 1);
});

test('a move is called off when a thread does not hold', async () => {
  const { host } = setup(1);
  const [main, ...others] = host.participants();
  assert(main !== undefined);
  const lost: MoveParticipant = { ...main, hold: () => Promise.reject(new Error('lost')) };
  const mover = new Mover({ ...host, participants: () => [lost, ...others] }, 1_000);
  await assert.rejects(mover.move(address, 2), { code: 'MOVE_ABORTED', retryable: true });
  // The epoch is spent: a fence of the move called off, still on its way, must not count for the next one.
  assert.equal(host.table().epoch, 2);
  assert.deepEqual(host.table().pins, { 'sink/a': 1 });
});
