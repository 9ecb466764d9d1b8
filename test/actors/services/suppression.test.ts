// Who is suppressed, kept in memory and in real LMDB folders: the same answers from both as from a model, resumable
// syncs, windows that are dropped whole, and nothing let through on a guess.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { EventGate } from '../../../actors/services/event-gate.ts';
import { RateLimiter } from '../../../actors/services/rate-limiter.ts';
import { ServiceHealth } from '../../../actors/services/service-health.ts';
import { SuppressedUsers } from '../../../actors/services/suppressed-users.ts';
import { type Suppression, SuppressionStore } from '../../../actors/services/suppression-store.ts';
import { createMetrics } from '../../../runtime/metrics.ts';
import { VirtualClock } from '../../../runtime/virtual-seams.ts';
import { memoryKeyValueStore, openKeyValueStore } from '../../../transport/index.ts';
import { makeSource } from '../../support/workspace-objects.ts';

const day = 86_400_000;
const startMs = 1_000 * day;

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'sluice-suppressions-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

function change(userId: string, changes: Partial<Suppression> = {}): Suppression {
  return { workspaceId: 'w1', userId, sourceIds: [], canceled: false, createdAtMs: startMs, ...changes };
}

async function openAt(path: string, windowMs?: number, now = { ms: startMs }): Promise<SuppressionStore> {
  return new SuppressionStore({ tables: await openKeyValueStore(path), windowMs, nowMs: () => now.ms });
}

const changes = fc.array(
  fc.record({
    workspaceId: fc.constantFrom('w', 'w1'),
    userId: fc.constantFrom('1u', 'u', 'ü'),
    sourceIds: fc.uniqueArray(fc.constantFrom('a', 'b')),
    canceled: fc.boolean(),
    createdAtMs: fc.constant(startMs),
  }),
  { maxLength: 12 },
);

const everyQuestion = ['w', 'w1'].flatMap((workspaceId) =>
  ['1u', 'u', 'ü'].flatMap((userId) => ['a', 'b', '*'].map((source) => [workspaceId, userId, source] as const)),
);

test('memory and disk answer like a set of keys, one for each user and source', async (t) => {
  let runs = 0;
  const path = await folder(t);
  await fc.assert(
    fc.asyncProperty(changes, async (all) => {
      const model = new Set<string>();
      for (const { workspaceId, userId, sourceIds, canceled } of all) {
        for (const source of sourceIds.length === 0 ? ['*'] : sourceIds) {
          const key = [workspaceId, userId, source].join('\n');
          if (canceled) model.delete(key);
          else model.add(key);
        }
      }
      runs += 1;
      const memory = new SuppressionStore({ tables: memoryKeyValueStore(), windowMs: undefined, nowMs: () => startMs });
      for (const store of [memory, await openAt(join(path, String(runs)))]) {
        await store.apply(all);
        for (const [workspaceId, userId, source] of everyQuestion) {
          const expected = [source, '*'].some((one) => model.has([workspaceId, userId, one].join('\n')));
          assert.equal(store.isSuppressed(workspaceId, userId, source), expected);
        }
        await store.close();
      }
    }),
    { numRuns: 25 },
  );
});

test('what was kept is there after a restart, with the place where the sync ended', async (t) => {
  const path = await folder(t);
  const first = await openAt(path);
  await first.applyPage([change('u1'), change('u2')], 'plane', { token: 't1', complete: false });
  await first.apply([change('u3', { sourceIds: ['s1'] })]);
  await first.close();
  const second = await openAt(path);
  assert.deepEqual(second.syncState('plane'), { token: 't1', complete: false });
  assert.deepEqual(second.syncState('another'), { token: '', complete: false });
  assert.ok(second.isSuppressed('w1', 'u1', 'any'));
  assert.ok(second.isSuppressed('w1', 'u3', 's1'));
  assert.ok(!second.isSuppressed('w1', 'u3', 's2'));
  assert.deepEqual(second.find('w1', 'u3')?.sourceIds, ['s1']);
  await second.close();
});

test('the list goes through everybody once, page by page', async (t) => {
  const store = await openAt(await folder(t), 4 * day);
  const names = Array.from({ length: 25 }, (_, index) => `u${index}`);
  const state = { token: 't', complete: true };
  await store.applyPage(
    names.map((name, index) => change(name, { createdAtMs: startMs - (index % 4) * day })),
    'plane',
    state,
  );
  const listed: string[] = [];
  let after = '';
  do {
    const page = store.list(after, 4);
    listed.push(...page.users.map(({ userId }) => userId));
    after = page.next;
  } while (after !== '');
  assert.deepEqual(listed.sort(), names.sort());
  await store.close();
});

test('a window drops what is older than it, but never what an operator suppressed', async (t) => {
  const path = await folder(t);
  const now = { ms: startMs };
  const store = await openAt(path, 4 * day, now);
  const page = [change('old', { createdAtMs: startMs - 5 * day }), change('recent')];
  await store.applyPage(page, 'plane', { token: 't', complete: true });
  await store.apply([change('mine', { createdAtMs: startMs - 5 * day })]);
  const suppressed = (of: SuppressionStore): string[] =>
    ['old', 'recent', 'mine'].filter((user) => of.isSuppressed('w1', user, 's'));
  assert.deepEqual(suppressed(store), ['recent', 'mine']);
  now.ms += 3 * day;
  await store.dropOld();
  assert.deepEqual(suppressed(store), ['recent', 'mine']);
  now.ms += 3 * day;
  await store.dropOld();
  assert.deepEqual(suppressed(store), ['mine']);
  await store.close();
  const again = await openAt(path, 4 * day, now);
  assert.deepEqual(suppressed(again), ['mine']);
  await again.close();
});

function gateOver(store: () => Promise<SuppressionStore>, passUnknown: boolean) {
  const clock = new VirtualClock();
  const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
  const parts = { clock, log: quiet, metrics: createMetrics() };
  const health = new ServiceHealth('suppression', parts);
  const users = new SuppressedUsers({ ...parts, open: store, sync: () => undefined, passUnknown, health });
  const limit = { events: 10, windowMs: 60_000 };
  const limits = { defaultSourceLimit: limit, defaultWorkspaceLimit: undefined };
  const gate = new EventGate({ suppressedUsers: users, rateLimiter: new RateLimiter({ ...limits, ...parts }) });
  return { users, gate, health };
}

function eventsOf(...userIds: (string | undefined)[]) {
  const suppressed: number[] = [];
  return {
    suppressed,
    count: userIds.length,
    goodCount: userIds.filter((id) => id !== undefined).length,
    userIdOf: (event: number) => userIds[event],
    suppress: (event: number) => void suppressed.push(event),
  };
}

const source = { ...makeSource('s1', []), workspaceId: 'w1' };

test('suppressed events of a request are named, refused ones are left alone', async () => {
  const store = new SuppressionStore({ tables: memoryKeyValueStore(), windowMs: undefined, nowMs: () => startMs });
  await store.apply([change('u1')]);
  const { users, gate } = gateOver(() => Promise.resolve(store), false);
  users.start();
  const before = eventsOf('u1');
  assert.deepEqual(gate.check(source, before, 'none'), { kind: 'unknown' }, 'not open yet');
  await Promise.resolve();
  const events = eventsOf('u1', 'u2', undefined, 'u1', '');
  assert.equal(gate.check(source, events, 'none'), undefined);
  assert.deepEqual(events.suppressed, [0, 3]);
  await users.close();
});

test('nothing passes on a guess, unless the operator wants it', async () => {
  const broken = (): Promise<SuppressionStore> => Promise.reject(new Error('no folder'));
  const closed = gateOver(broken, false);
  closed.users.start();
  await closed.users.close();
  assert.match(closed.health.status().lastError?.text ?? '', /cannot be opened: no folder/);
  assert.deepEqual(closed.gate.check(source, eventsOf('u1'), 'none'), { kind: 'unknown' });
  assert.equal(gateOver(broken, true).gate.check(source, eventsOf('u1'), 'none'), undefined);
});

test('a request with nothing left but suppressed events is not limited, and a job run only when it is one', async () => {
  const { gate } = gateOver(() => Promise.reject(new Error('none')), true);
  const many = (): ReturnType<typeof eventsOf> => eventsOf(...Array.from({ length: 10 }, () => 'u'));
  const warehouse = { ...source, sourceDefinition: { ...source.sourceDefinition, category: 'warehouse' } };
  assert.equal(gate.check(source, many(), 'claimed'), undefined);
  assert.equal(gate.check(source, many(), 'claimed')?.kind, 'limited', 'a header alone exempts nobody');
  assert.equal(gate.check(source, many(), 'proven'), undefined);
  assert.equal(gate.check(warehouse, many(), 'claimed'), undefined);
  assert.equal(gate.check(warehouse, many(), 'none')?.kind, 'limited');
  assert.equal(gate.check(source, eventsOf(undefined), 'none'), undefined);
});
