// What stages tell beside the main path, on a real database: written with the commit or not at all, gathered once
// whatever happens meanwhile, read by one process at a time, and sent to a real server in the shape of the field.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Observation } from '../../actors/observations/contract.ts';
import { ObservationLog } from '../../actors/observations/observation-log.ts';
import { readReports } from '../../actors/reporting/report-query.ts';
import { ReportSender } from '../../actors/reporting/report-sender.ts';
import { ServiceClient } from '../../actors/services/service-client.ts';
import { ServiceHealth } from '../../actors/services/service-health.ts';
import { createMetrics, realSeams } from '../../runtime/index.ts';
import { silentLog, testDatabase } from '../support/database.ts';
import { startDestination } from '../support/fake-destination.ts';
import { storageFixture } from '../support/storage-fixture.ts';

const labels = (extra: object = {}): string =>
  JSON.stringify({
    workspaceId: 'ws-1',
    sourceId: 'src-1',
    reportedBy: 'router',
    terminalState: true,
    state: 'succeeded',
    statusCode: 200,
    ...extra,
  });

function report(count: number, changes: Partial<Observation> = {}): Observation {
  return { topic: 'report', labels: labels(), count, sample: '', content: new Uint8Array(0), ...changes };
}

// Neither the table of that minute nor the one before it is the one that is written to now.
const later = 6 * 60_000;
const everything = { sinceMinute: 0, untilMinute: 2 ** 31 - 1, labels: {}, byMinute: false, limit: 1_000 };

test('observations are there with their commit, are added up once, and go with a commit that is refused', async (t) => {
  const database = await testDatabase(t);
  const storage = storageFixture(database);
  const postgres = database.open();
  assert.deepEqual(await storage.commit({ observations: [report(2), report(3, { sample: '{"event":"{}"}' })] }), {
    kind: 'committed',
  });
  await storage.commit({ redriven: [77] });
  const refused = await storage.commit({ redriven: [77], observations: [report(100)] });
  assert.equal(refused.kind, 'refused');
  // A large group is written by COPY.
  const many = Array.from({ length: 200 }, (_, index) => report(1, { labels: labels({ eventName: `e${index}` }) }));
  await storage.commit({ observations: many });

  const log = new ObservationLog(postgres, 'a', () => Date.now() + later);
  const sum = async () => (await readReports(postgres, everything)).reduce((all, { count }) => all + count, 0);
  assert.equal(await sum(), 205, 'also before they are gathered');
  const found = await Promise.all([log.gather(), log.gather(), log.gather()]);
  assert.ok(found.includes(true));
  assert.equal(await sum(), 205);
  const gathered = await log.read('report', 0, 1_000);
  assert.equal(gathered.length, 201, 'equal ones of a minute are one');
  assert.equal(gathered.find((one) => one.labels === labels())?.sample, '{"event":"{}"}');
  assert.equal(await log.gather(), false);
  assert.equal((await readReports(postgres, { ...everything, labels: { eventName: 'e7' } })).length, 1);
});

test('one process reads at a time, and goes on where the one before it was', async (t) => {
  const database = await testDatabase(t);
  const storage = storageFixture(database);
  await storage.commit({ observations: [report(1, { topic: 'schema' }), report(1, { topic: 'users' })] });
  const [first, second] = ['a', 'b'].map((name) => new ObservationLog(database.open(), name, () => Date.now() + later));
  assert(first !== undefined && second !== undefined);
  await first.gather();
  assert.equal(await first.lease('x', 60_000), 0);
  assert.equal(await second.lease('x', 60_000), undefined);
  await first.advance('x', 7);
  await second.advance('x', 9);
  await first.release('x');
  assert.equal(await second.lease('x', 60_000), 7);

  const during = await first.consume('schema', 10, async () => {
    assert.equal(await second.consume('schema', 10, () => Promise.resolve()), 0, 'somebody else is at it');
  });
  assert.equal(during, 1);
  const failed = second.consume('users', 10, () => Promise.reject(new Error('no')));
  await assert.rejects(failed, /^Error: no$/);
  assert.equal(await second.consume('users', 10, () => Promise.resolve()), 1, 'what was not used is still there');
});

test('reports are posted by place and minute, again after a failure, and never twice after a success', async (t) => {
  const database = await testDatabase(t);
  const storage = storageFixture(database);
  const event = '{"event":"Order","n":9007199254740993}';
  const sample = JSON.stringify({ event, response: 'said' });
  const kinds = Array.from({ length: 12 }, (_, index) => report(1, { labels: labels({ eventName: `e${index}` }) }));
  const content = Buffer.from([0, 0, 0, 2, 0, 0, 0, 3]);
  await storage.commit({
    observations: [...kinds, report(5, { labels: labels({ sourceId: 'src-2' }), sample, content })],
  });
  const service = await startDestination(t);
  const log = new ObservationLog(database.open(), 'a', () => Date.now() + later);
  await log.gather();
  const seams = realSeams();
  const client = new ServiceClient({ name: 'reporting', answerBytesMax: 1_000 });
  t.after(() => client.close());
  const parts = { clock: seams.clock, log: { ...silentLog, debug: () => undefined }, metrics: createMetrics() };
  const sender = new ReportSender({
    log,
    client,
    url: service.url(),
    authorization: 'Basic abc',
    timeoutMs: 5_000,
    instanceId: 'here',
    namespace: '',
    everyMs: 1_000,
    health: new ServiceHealth('reporting', parts),
    clock: seams.clock,
    random: seams.random,
  });
  service.respond(() => 503);
  await assert.rejects(sender.sendAll(), /503/);
  service.respond(() => 200);
  await sender.sendAll();
  await sender.sendAll();
  // Requests that were under way beside the one that failed may come twice, with their keys.
  const taken = new Map(service.accepted().map(({ idempotencyKey, body }) => [idempotencyKey, body]));
  const bodies = [...taken.values()].map((body) => JSON.parse(body.toString()));
  assert.deepEqual(bodies.map(({ reports }) => reports.length).sort(), [1, 10, 2].sort());
  const [other] = bodies.filter(({ sourceId }) => sourceId === 'src-2');
  assert.equal(other.reports[0].count, 5);
  assert.equal(other.reports[0].violationCount, 5);
  assert.equal(other.reports[0].sampleResponse, 'said');
  assert.equal(other.reportedAt % 60_000, 0);
  assert.equal(other.instanceId, 'here');
  const posted = service.deliveries.at(-1);
  assert.equal(posted?.headers.authorization, 'Basic abc');
  const raw = service.deliveries.map(({ body }) => body.toString()).find((text) => text.includes('src-2'));
  assert.ok(raw?.includes('"sampleEvent":{"event":"Order","n":9007199254740993}'), 'digits are kept');
  const keys = service.deliveries.map(({ headers }) => headers['idempotency-key']);
  assert.equal(new Set(keys).size, 3, 'the same again has the same key');
});
