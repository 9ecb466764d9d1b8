// Numbers of users and schemas of events on a real database: from what commits told to what is read and sent, the same
// whatever was told in which part, and not forgotten when a part fails.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ObservationLog } from '../../actors/observations/observation-log.ts';
import { EventSchemas } from '../../actors/schemas/event-schemas.ts';
import { forwardSchemas } from '../../actors/schemas/schema-forwarder.ts';
import { schemaRoutes } from '../../actors/schemas/schema-routes.ts';
import { schemaTap } from '../../actors/schemas/schema-tap.ts';
import { TrackedUsersStore } from '../../actors/tracked-users/tracked-users.ts';
import { reportUsers } from '../../actors/tracked-users/users-reporter.ts';
import { usersTap } from '../../actors/tracked-users/users-tap.ts';
import { testDatabase } from '../support/database.ts';
import { defaultSettings, runObserved } from '../support/observed-events.ts';
import { storageFixture } from '../support/storage-fixture.ts';
import { makeSource } from '../support/workspace-objects.ts';

const later = 6 * 60_000;
const hour = 3_600_000;
const wide = { sinceHour: 0, untilHour: 2 ** 31 - 1, workspaceId: '', sourceId: '' };
const settings = {
  ...defaultSettings(),
  trackedUsers: { ...defaultSettings().trackedUsers, enabled: true },
  eventSchemas: { ...defaultSettings().eventSchemas, enabled: true, keysMax: 20, schemasMax: 3 },
};

async function setup(t: TestContext) {
  const database = await testDatabase(t);
  const storage = storageFixture(database);
  const postgres = database.open();
  const log = new ObservationLog(postgres, 'a', () => Date.now() + later);
  const tell = async (sourceId: string, events: readonly object[], lane = storage) => {
    const taps = [usersTap(settings), schemaTap(settings)];
    const { observations = [] } = runObserved({ source: makeSource(sourceId, []), taps, events });
    assert.deepEqual(await lane.commit({ observations }), { kind: 'committed' });
  };
  return { storage, postgres, log, tell };
}

test('users are counted once per source and workspace, over commits, gatherings and hours', async (t) => {
  const { log, tell } = await setup(t);
  const store = new TrackedUsersStore(log);
  const users = (from: number, count: number) =>
    Array.from({ length: count }, (_, index) => ({
      type: 'track',
      userId: `u${from + index}`,
      anonymousId: `a${from}`,
    }));
  await tell('s1', users(0, 2_000));
  await tell('s1', users(1_000, 2_000));
  await tell('s2', users(0, 500));
  await log.gather();
  await store.takeOver();
  await tell('s1', [{ type: 'track', anonymousId: 'new' }]);
  await tell('s1', [{ type: 'alias', userId: 'u1', previousId: 'was' }]);
  await log.gather();
  await store.takeOver();
  const found = await store.read(wide);
  const [all, first, second] = ['', 's1', 's2'].map((id) => found.find(({ sourceId }) => sourceId === id));
  assert(all !== undefined && first !== undefined && second !== undefined);
  const near = (value: number, exact: number) =>
    assert.ok(Math.abs(value - exact) <= exact * 0.02, `${value}, ${exact}`);
  near(first.users, 3_001);
  near(second.users, 500);
  near(all.users, 3_001);
  assert.deepEqual([first.anonymous, first.identified], [3, 2]);
  assert.equal(first.total, first.users + 1);
  assert.deepEqual(await store.read({ ...wide, untilHour: 1 }), []);
});

test('hours that are over are reported until they are taken, and again when they change', async (t) => {
  const { log, tell } = await setup(t);
  const store = new TrackedUsersStore(log);
  await tell('s1', [{ type: 'track', userId: 'u1' }]);
  await log.gather();
  await store.takeOver();
  const sent: { reportedAt: string; sourceId: string; userIdHLL: string }[][] = [];
  let status = 500;
  const report = (nowMs: number) =>
    reportUsers({
      store,
      client: {
        call: ({ body }) => {
          sent.push(JSON.parse(Buffer.from(body ?? []).toString()));
          return Promise.resolve({ status, header: () => '', body: Buffer.alloc(0) });
        },
      },
      url: 'http://reports',
      authorization: '',
      timeoutMs: 1_000,
      instanceId: 'here',
      nowMs: () => nowMs,
    });
  await report(Date.now());
  assert.equal(sent.length, 0, 'the hour is not over');
  await assert.rejects(report(Date.now() + 2 * hour), /500/);
  status = 200;
  await report(Date.now() + 2 * hour);
  await report(Date.now() + 2 * hour);
  assert.equal(sent.length, 2);
  assert.equal(sent[1]?.[0]?.sourceId, 's1');
  assert.match(sent[1]?.[0]?.userIdHLL ?? '', /^14907f/);
  await tell('s1', [{ type: 'track', userId: 'u2' }]);
  await log.gather();
  await store.takeOver();
  await report(Date.now() + 2 * hour);
  assert.equal(sent.length, 3);
});

test('schemas are put together, bounded by names, served in pages and forwarded when they change', async (t) => {
  const { log, tell } = await setup(t);
  const schemas = new EventSchemas({ log, keysMax: 20, schemasMax: 3 });
  const event = (name: string, properties: object) => ({ type: 'track', event: name, properties });
  await tell('s1', [event('A', { n: 1 }), event('A', { n: 2 }), event('B', {})]);
  await log.gather();
  await schemas.takeOver();
  await tell('s1', [event('A', { n: 'x', m: null }), event('C1', {}), event('C2', {})]);
  await log.gather();
  await schemas.takeOver();

  const [route] = schemaRoutes(schemas);
  const read = async (query: string) => {
    const request = {
      params: {},
      query: new URLSearchParams(query),
      body: () => assert.fail(),
      json: () => assert.fail(),
    };
    const answer = await route?.handle(request);
    assert(answer !== undefined && 'json' in answer);
    return answer.json as { schemas: { eventName: string; count: number; keys: object }[]; next?: string };
  };
  const first = await read('sourceId=s1&limit=2');
  const second = await read(`sourceId=s1&limit=2&after=${first.next}`);
  const all = [...first.schemas, ...second.schemas];
  assert.deepEqual(
    all.map(({ eventName, count }) => [eventName.slice(0, 7).replace(/^C\d$/, 'one of C'), count]),
    [
      ['(other)', 1],
      ['A', 3],
      ['B', 1],
      ['one of C', 1],
    ],
  );
  assert.deepEqual(Reflect.get(all[1]?.keys ?? {}, 'properties.n'), { number: 2, string: 1 });
  assert.equal((await read('writeKey=other')).schemas.length, 0);
  await assert.rejects(read('after=x'), /next of the page before/);

  const sent: string[][] = [];
  const sink = (fail: boolean) => ({
    send: (some: readonly { eventName: string }[]) => {
      if (fail) return Promise.reject(new Error('away'));
      sent.push(some.map(({ eventName }) => eventName));
      return Promise.resolve();
    },
  });
  await assert.rejects(forwardSchemas(schemas, sink(true)), /away/);
  await forwardSchemas(schemas, sink(false));
  await tell('s1', [event('B', {})]);
  await log.gather();
  await schemas.takeOver();
  await forwardSchemas(schemas, sink(false));
  assert.deepEqual(
    sent.map((names) => names.length),
    [4, 1],
  );
  assert.deepEqual(sent[1], ['B']);
});
