// Who has its slice can be read from outside the thread, at any moment, by name.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { ActorSystem, defineActor, realTurn, virtualSeams } from '../../runtime/index.ts';
import { RunningActor, runningActorBytes } from '../../runtime/running-actor.ts';

const ignore = () => undefined;
const log = { debug: ignore, info: ignore, warn: ignore, error: ignore };

test('the actor that has its slice can be read from outside, and nobody between two turns', async () => {
  const memory = new SharedArrayBuffer(runningActorBytes);
  const outside = new RunningActor(memory);
  const seen = new Map<string, string | undefined>();
  const noting = defineActor<number>({
    kind: 'noting',
    role: 'worker',
    create: (context) => ({
      onMessage: async (message) => {
        seen.set(`${context.key} ${message}`, outside.read());
        await Promise.resolve();
        assert.equal(outside.read(), undefined, 'what runs behind an await has no slice');
        context.passivate();
      },
    }),
  });
  const seams = virtualSeams(1);
  const running = new RunningActor(memory);
  const system = new ActorSystem({
    threadId: 1,
    role: 'worker',
    roles: {},
    definitions: [noting],
    seams,
    log,
    running,
  });
  // Twice, so that the second life of each has a place somebody had before.
  for (const round of [1, 2]) {
    for (const key of ['a', 'b/c', 'ü€', 'k'.repeat(300), '']) system.ref<number>('noting', key).tell(round);
    assert.equal(outside.read(), undefined);
    while (seams.executor.runTurn()) await realTurn();
    assert.equal(outside.read(), undefined);
    assert.equal(system.stats().actors, 0);
    assert.deepEqual(
      ['a', 'b/c', 'ü€', 'k'.repeat(300), ''].map((key) => seen.get(`${key} ${round}`)),
      ['noting/a', 'noting/b/c', 'noting/ü€', `noting/${'k'.repeat(56)}`, 'noting/'],
    );
  }
  await system.drain(0);
});

test('beyond its places an actor is not named wrongly, and a place is used again', () => {
  const running = new RunningActor(new ArrayBuffer(runningActorBytes));
  const places = Array.from({ length: 9000 }, (_, index) => running.claim({ kind: 'k', key: `${index}` }));
  const readAt = (place = 0): string | undefined => {
    running.begin(place);
    return running.read();
  };
  assert.deepEqual([readAt(places[0]), readAt(places[8191])], ['k/0', 'k/8191']);
  assert.match(readAt(places[8999]) ?? '', /^an actor beyond the first 8192/);
  running.release(places[8999] ?? 0);
  running.release(places[5] ?? 0);
  assert.equal(readAt(running.claim({ kind: 'k', key: 'new' })), 'k/new');
  assert.match(readAt(running.claim({ kind: 'k', key: 'newer' })) ?? '', /^an actor beyond/);
});
