// A disk that fills under load, with PostgreSQL on it: events are refused, nothing that was acknowledged is lost, and all
// goes on by itself when there is room again. Whether PostgreSQL is ours, with marks and ballast, or somebody else's.

import { strict as assert } from 'node:assert';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { runCommand } from '../support/command.ts';
import { startTestServer } from '../support/database.ts';
import { eventOf } from '../support/fake-destination.ts';
import { post, track } from '../support/gateway-client.ts';
import { checkDeliveries } from '../support/order-checker.ts';
import { type Pipeline, startPipeline, UserLoad, writeKey } from '../support/pipeline.ts';
import { pollUntil } from '../support/poll.ts';
import { mountSmallDisk } from '../support/small-disk.ts';
import { pendingJobs, property } from '../support/status.ts';

const mebibyte = 1024 * 1024;
/** Initialising takes a hundred, the write-ahead log up to 256. */
const diskMebibytes = 640;

async function refusalOf({ program }: Pipeline) {
  let probes = 0;
  return pollUntil('an event to be refused with 503', async () => {
    probes += 1;
    const answer = await post(`${program.gatewayUrl}/v1/track`, track('probe', probes), { writeKey });
    return answer.status === 503 ? answer : undefined;
  });
}

/** Everything that was answered 200 arrives, in order, and the books are right. */
async function settles({ program, destination }: Pipeline, load: UserLoad, env: Record<string, string>): Promise<void> {
  await pollUntil(
    'the program to be ready again',
    async () => ((await fetch(`${program.adminUrl}/readyz`)).status === 200 ? true : undefined),
    60_000,
  );
  const before = load.acknowledged.length;
  await pollUntil('events to be accepted again', () => (load.acknowledged.length > before ? true : undefined), 60_000);
  load.stop();
  const report = () =>
    checkDeliveries(
      load.acknowledged,
      destination.accepted().map((delivery) => ({ ...eventOf(delivery), idempotencyKey: delivery.idempotencyKey })),
      load.uncertain,
    );
  await destination.waitFor('every acknowledged event to arrive', () => report().lost.length === 0);
  await pollUntil('nothing to be pending', async () =>
    pendingJobs(await program.json('/status')) === 0 ? true : undefined,
  );
  // A 503 in the middle of a commit may be a stored event, so what is unknown is no fault.
  const { lost, unrecognisable, outOfOrder } = report();
  assert.deepEqual({ lost, unrecognisable, outOfOrder }, { lost: [], unrecognisable: [], outOfOrder: [] });
  const ledger = await runCommand(['ledger'], env);
  assert.equal(ledger.exitCode, 0, `${ledger.out}${ledger.problem}`);
}

async function statusOf({ program }: Pipeline, name: string): Promise<unknown> {
  return property(property(await program.json('/status'), 'intake'), name);
}

test('our own PostgreSQL: refused at the mark, the ballast given up at the end', { timeout: 180_000 }, async (t) => {
  const disk = mountSmallDisk(t, diskMebibytes);
  if (typeof disk === 'string') return t.skip(disk);
  const ballastBytes = 48 * mebibyte;
  const pipeline = await startPipeline(t, {
    dataDir: join(disk.folder, 'data'),
    env: {
      SLUICE_STORAGE_DISK_WARN_BYTES: String(96 * mebibyte),
      SLUICE_STORAGE_DISK_SHED_BYTES: String(64 * mebibyte),
      SLUICE_STORAGE_DISK_REFUSE_BYTES: String(64 * mebibyte),
      SLUICE_STORAGE_BALLAST_BYTES: String(ballastBytes),
    },
  });
  const ballastIs = (bytes: number) =>
    pollUntil(`a ballast of ${bytes} bytes`, async () =>
      (await statusOf(pipeline, 'ballastBytes')) === bytes ? true : undefined,
    );
  await ballastIs(ballastBytes);
  const load = new UserLoad();
  const running = load.run(pipeline.program, 4, 'ours');
  await pipeline.destination.waitForAccepted(100);

  disk.fillTo(40 * mebibyte);
  const refused = await refusalOf(pipeline);
  assert.ok(Number(refused.headers.get('retry-after')) >= 1);
  assert.equal(await statusOf(pipeline, 'diskLevel'), 'refuse');
  assert.equal((await fetch(`${pipeline.program.adminUrl}/readyz`)).status, 503);
  assert.match(await (await fetch(`${pipeline.program.adminUrl}/metrics`)).text(), /sluice_disk_level\{?[^\n]* 3/);
  disk.fillTo(0);
  await ballastIs(0);
  assert.ok(disk.freeBytes > ballastBytes / 2, 'what was held is free');

  disk.makeRoom();
  await settles(pipeline, load, { SLUICE_DATA_DIR: pipeline.program.dataDir });
  await running;
  await ballastIs(ballastBytes);

  await pipeline.program.stop();
  disk.fillTo(0);
  const again = pipeline.program.again();
  await again.waitForOutput(/the ballast of \d+ bytes was given up/);
  await again.waitForOutput(/accepts events \(started/);
});

test("somebody else's PostgreSQL: its disk is full and nobody told us", { timeout: 180_000 }, async (t) => {
  const disk = mountSmallDisk(t, diskMebibytes);
  if (typeof disk === 'string') return t.skip(disk);
  await fullServer(t, disk);
});

async function fullServer(t: TestContext, disk: Exclude<ReturnType<typeof mountSmallDisk>, string>): Promise<void> {
  const server = await startTestServer(t, { dataDir: join(disk.folder, 'data') });
  const host = encodeURIComponent(server.socketDir);
  const env = { SLUICE_POSTGRES_URL: `postgres://${server.user}@/${server.database}?host=${host}&port=${server.port}` };
  const pipeline = await startPipeline(t, { env: { ...env, SLUICE_GATEWAY_STORE_TIMEOUT_MS: '2000' } });
  const load = new UserLoad();
  const running = load.run(pipeline.program, 4, 'theirs');
  await pipeline.destination.waitForAccepted(100);

  disk.fillTo(0);
  const refused = await refusalOf(pipeline);
  assert.ok(Number(refused.headers.get('retry-after')) >= 1);
  assert.equal(await statusOf(pipeline, 'diskLevel'), undefined, 'there is no look at their disk');
  await pollUntil('the reason to be told', async () =>
    (await statusOf(pipeline, 'state')) === 'the disk of PostgreSQL is full' ? true : undefined,
  );

  disk.makeRoom();
  await settles(pipeline, load, env);
  await running;
}
