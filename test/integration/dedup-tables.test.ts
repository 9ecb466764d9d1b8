// What storage keeps of message ids: written with the commit or not at all, told to the next session, read back after a
// restart, and dropped with its table when nobody can need it any more.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import type { SeenFound, SeenIds } from '../../actors/storage/contract.ts';
import { DedupTables } from '../../actors/storage/dedup-tables.ts';
import { takeLane } from '../../actors/storage/ownership.ts';
import { testDatabase } from '../support/database.ts';
import { type StorageFixture, storageFixture } from '../support/storage-fixture.ts';

const hourMs = 3_600_000;
const receivedAtMs = 1_790_000_000_000;

function seenOf(value: number, seenMs = receivedAtMs): SeenIds {
  return { windowMs: hourMs, seenMs, hashes: new Uint8Array(8).fill(value) };
}

function bytesOf(found: SeenFound): number[] {
  return found.kind === 'seenFound' ? found.seen.map(({ hashes }) => hashes[0] ?? 0) : [];
}

function markOf(tables: DedupTables): number | undefined {
  const message = { kind: 'jobs' as const, session: 1, rows: new Uint8Array(), count: 0, afterId: 0, statuses: [] };
  return tables.mark('gw', 'p', message).seenMark;
}

/** Stores one job for `p`, hands it out, and commits it with what was seen. */
async function processOne(fixture: StorageFixture, seen: SeenIds[]): Promise<number | undefined> {
  await fixture.store('gw', ['p']);
  fixture.open('gw', 'p', 1);
  const { handed, messages } = await fixture.holds('gw', 'p', 1);
  const jobId = handed[0]?.jobId ?? 0;
  const runs = [{ afterId: jobId - 1, jobIds: [jobId] }];
  assert.deepEqual(await fixture.commit({ results: [fixture.results('gw', 'p', { runs, seen })] }), {
    kind: 'committed',
  });
  return messages[0]?.seenMark;
}

const read = (fixture: StorageFixture, ms: number, partition = 'p') =>
  fixture.storage.ask<SeenFound>(
    { kind: 'readSeen', partition, receivedAtMs: ms, afterGroupId: 0 },
    { timeoutMs: 20_000 },
  );

test('the next session is told who added last, a restart reads what was committed within the window', async (t) => {
  const database = await testDatabase(t);
  const fixture = storageFixture(database);
  assert.equal(await processOne(fixture, [seenOf(1)]), undefined, 'nothing was seen yet');
  const first = fixture.consumer('gw', 'p').session;
  assert.equal(await processOne(fixture, [seenOf(2, receivedAtMs + hourMs)]), first);
  assert.equal(await processOne(fixture, []), fixture.consumer('gw', 'p').session - 1);
  assert.deepEqual(bytesOf(await read(fixture, receivedAtMs)), [1, 2]);
  assert.deepEqual(bytesOf(await read(fixture, receivedAtMs + 1.5 * hourMs)), [2], 'what is too old is not read');
  assert.deepEqual(bytesOf(await read(fixture, receivedAtMs, 'other')), []);
  await fixture.stop();

  const again = storageFixture(database);
  assert.equal(await processOne(again, []), -1, 'whoever comes must read');
  assert.deepEqual(bytesOf(await read(again, receivedAtMs)), [1, 2]);
});

test('what was seen comes in pages, none of it twice that a reader does not know', async (t) => {
  const database = await testDatabase(t);
  const postgres = database.open();
  await postgres.withSession((session) => DedupTables.recover(session, 0));
  await postgres.query(
    `insert into sluice_dedup_1 select n / 2, 'p', 1000, ${receivedAtMs}, int8send(n) from generate_series(1, 1200) as n`,
  );
  const tables = await postgres.withSession((session) => DedupTables.recover(session, 0));
  const found = new Set<string>();
  let pages = 0;
  for (let next: number | undefined = 0; next !== undefined; pages += 1) {
    const ask = { kind: 'readSeen' as const, partition: 'p', receivedAtMs, afterGroupId: next === 0 ? -1 : next };
    const page: SeenFound = await tables.read(postgres, ask);
    assert.equal(page.kind, 'seenFound');
    if (page.kind !== 'seenFound') return;
    for (const { hashes } of page.seen) found.add(Buffer.from(hashes).toString('hex'));
    next = page.next;
  }
  assert.equal(found.size, 1200);
  assert.equal(pages, 3);
});

test('tables follow one another, and go once no pending event can need them', async (t) => {
  const database = await testDatabase(t);
  const postgres = database.open();
  await postgres.withSession(async (session) => {
    const { epoch } = await takeLane(session, 0, 'test');
    const fence = { lane: 0, epoch };
    const tables = await DedupTables.recover(session, 0);
    const names = async (): Promise<number[]> => {
      const { rows } = await session.query<{ number: number }>(
        "select number from sluice_datasets where queue = 'dedup' order by number",
      );
      return rows.map(({ number }) => number);
    };
    let nowMs = Date.now();
    const pass = async (value: number): Promise<void> => {
      const seenMs = nowMs;
      tables.committed({
        queue: 'gw',
        partition: 'p',
        session: value,
        runs: [],
        statuses: [],
        seen: [seenOf(value, seenMs)],
      });
      await session.query(
        `insert into ${tables.current} values (${value}, 'p', ${hourMs}, ${seenMs}, '\\x0101010101010101')`,
      );
      nowMs += 900_000;
      assert.ok(tables.hasWork(nowMs, nowMs));
      await tables.maintain(session, fence, nowMs, nowMs);
    };
    for (const value of [1, 2, 3]) await pass(value);
    assert.deepEqual(await names(), [1, 2, 3, 4]);
    nowMs += hourMs + 1;
    await tables.maintain(session, fence, nowMs, nowMs - 2 * hourMs);
    assert.deepEqual(await names(), [1, 2, 3, 4], 'an older event is still pending');
    assert.equal(markOf(tables), 3);
    await tables.maintain(session, fence, nowMs, nowMs);
    assert.deepEqual(await names(), [3, 4], 'those a group in flight may write to stay');
    assert.equal(markOf(tables), undefined, 'nothing is left to be read');

    const recovered = await DedupTables.recover(session, 0);
    assert.equal(markOf(recovered), -1);
    assert.equal(recovered.current, 'sluice_dedup_4');
  });
});
