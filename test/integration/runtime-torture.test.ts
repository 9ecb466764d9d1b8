// Real threads under everything at once: traffic from main and between threads, moves of the actors it goes to, and
// threads that end amid them. Whatever is lost with a thread, nothing is reordered, nothing hangs, nothing is left over.

import { strict as assert } from 'node:assert';
import { type TestContext, test } from 'node:test';
import { RuntimeError, seededRandom, startRuntime } from '../../runtime/index.ts';
import { supervisionDefaults } from '../../runtime/supervision.ts';
import { workerEntry } from '../../transport/index.ts';
import { pollUntil } from '../support/poll.ts';
import type { ProbeMessage, ThreadTestData } from './runtime-threads-worker.ts';

const keys = ['a', 'b', 'c', 'd', 'e', 'f'];
const rounds = 60;
const valuesPerRound = 40;
/** Far above what any ask should take: one that comes to this has hung. */
const hungMs = 30_000;
/** What may become of an ask whose receiver's thread ends or whose way there is full. */
const expectedCodes = ['THREAD_LOST', 'LINK_OVERLOADED', 'MAILBOX_FULL', 'HANDLER_FAILED'];

/** Three threads that may end as often as they like. */
async function setup(t: TestContext) {
  const silent = (): void => undefined;
  const threadData: ThreadTestData = { stops: new SharedArrayBuffer(64) };
  const runtime = await startRuntime({
    entry: workerEntry('./runtime-threads-worker', import.meta.url),
    groups: [{ role: 'actors', count: 3 }],
    roles: { probe: 'actors' },
    threadData,
    log: { debug: silent, info: silent, warn: silent, error: silent },
    onFatal: (reason) => assert.fail(reason),
    tuning: { supervision: { ...supervisionDefaults, minBackoffMs: 1, maxBackoffMs: 5, maxRestarts: 1_000 } },
    refuseAskCycles: true,
  });
  t.after(() => runtime.stop());
  const codes = new Set<string>();
  return {
    runtime,
    codes,
    probe: (key: string) => runtime.ref<ProbeMessage>('probe', key),
    /** The answer, or undefined when the ask was rejected; the code is kept. */
    settle: async (ask: Promise<unknown>): Promise<unknown> => {
      try {
        return await ask;
      } catch (error) {
        codes.add(error instanceof RuntimeError ? error.code : String(error));
        return undefined;
      }
    },
    everyThreadLives: async (): Promise<true | undefined> => {
      const { threads } = await runtime.stats();
      return threads.every(({ state }) => state === 'live') ? true : undefined;
    },
  };
}

function isAscending(values: unknown): boolean {
  return Array.isArray(values) && values.every((value, index) => index === 0 || value > values[index - 1]);
}

test('threads that end amid moves and traffic cost what was in them, and neither order nor answers', async (t) => {
  const { runtime, codes, probe, settle, everyThreadLives } = await setup(t);
  const random = seededRandom(4711);
  const outcomes: Promise<unknown>[] = [];
  let moves = 0;
  let value = 0;
  for (let round = 0; round < rounds; round += 1) {
    const key = keys[random.integer(keys.length)] ?? '';
    const other = keys[random.integer(keys.length)] ?? '';
    for (let index = 0; index < valuesPerRound; index += 1) probe(key).tell({ kind: 'add', value: value++ });
    const relayed = Array.from({ length: valuesPerRound }, () => value++);
    // The relay's values go to a receiver of their own, so that one sender speaks to each.
    outcomes.push(
      settle(probe(other).ask({ kind: 'relay', key: `by-${other}`, values: relayed }, { timeoutMs: hungMs })),
    );
    const moved = runtime.pin({ kind: 'probe', key }, 1 + random.integer(3)).then(
      () => {
        moves += 1;
      },
      () => undefined,
    );
    outcomes.push(moved);
    if (round % 6 === 5) {
      await pollUntil('every thread to live', everyThreadLives, hungMs);
      outcomes.push(settle(probe(other).ask({ kind: 'exit', exitCode: 0 }, { timeoutMs: hungMs })));
    }
    const values = await settle(probe(key).ask({ kind: 'values' }, { timeoutMs: hungMs }));
    assert.ok(values === undefined || isAscending(values), `round ${round}: ${key} got ${JSON.stringify(values)}`);
    if (round % 4 === 3) await moved;
  }
  await Promise.all(outcomes);
  for (const key of keys.flatMap((one) => [one, `by-${one}`])) {
    const values = await settle(probe(key).ask({ kind: 'values' }, { timeoutMs: hungMs }));
    assert.ok(values === undefined || isAscending(values), `${key} got ${JSON.stringify(values)}`);
  }
  assert.deepEqual(
    [...codes].filter((code) => !expectedCodes.includes(code)),
    [],
  );
  const { threads } = await runtime.stats();
  const restarts = threads.reduce((sum, thread) => sum + thread.restarts, 0);
  assert.ok(restarts >= 3 && moves >= 10, `expected a life with deaths and moves, got ${restarts} and ${moves}`);
  assert.deepEqual(
    threads.map(({ system, mailboxDepth }) => [system?.asksPending ?? 0, mailboxDepth]),
    threads.map(() => [0, 0]),
    'nobody waits for an answer any more',
  );
  assert.equal((await runtime.drain({ deadlineMs: 10_000 })).clean, true);
});
