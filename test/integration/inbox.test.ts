// Events that a process stores for a lane of another one, on a real PostgreSQL: in the lane exactly once and in order,
// whichever side dies when, and only as long as somebody is entitled to write.

import { strict as assert } from 'node:assert';
import { type TestContext, test } from 'node:test';
import type { Commit, CommitReply } from '../../actors/storage/contract.ts';
import type { ImportPosition } from '../../actors/storage/group.ts';
import { fenceSql } from '../../actors/storage/group-writer.ts';
import { InboxImport } from '../../actors/storage/inbox-import.ts';
import { InboxWriter } from '../../actors/storage/inbox-writer.ts';
import { takeLane } from '../../actors/storage/ownership.ts';
import type { Replier } from '../../runtime/index.ts';
import { silentLog, testDatabase } from '../support/database.ts';
import { pollUntil } from '../support/poll.ts';
import { jobRows, storageFixture } from '../support/storage-fixture.ts';

const ledger = [{ minute: 7, sourceId: 's', destinationId: '', kind: 'accepted' as const, count: 2 }];

async function setup(t: TestContext) {
  const database = await testDatabase(t);
  const postgres = database.open();
  let writers = 0;
  const writer = () => {
    writers += 1;
    const inbox = new InboxWriter({
      lane: 0,
      postgres,
      writer: `writer ${writers}`,
      groupBytesMax: 1_000_000,
      nowMs: () => 0,
      onCommitted: () => undefined,
      onTrouble: () => undefined,
    });
    database.beforeDrop(() => inbox.close());
    const store = (messageId: string, userId = 'u'): Promise<CommitReply> =>
      answered((replier) => {
        const jobs = [{ queue: 'gw' as const, ...jobRows(['a', 'a'], { messageId, userId }) }];
        inbox.store({ kind: 'commit', jobs, results: [], ledger }, replier);
      });
    return { inbox, store };
  };
  const inLane = async (): Promise<string[]> =>
    (await postgres.query<{ id: string }>('select message_id as id from gw_jobs_1 order by job_id')).rows.map(
      ({ id }) => id,
    );
  const left = async (): Promise<number> =>
    (await postgres.query("select 1 from pg_class where relname ~ '^sluice_inbox_[0-9]+$'")).rowCount;
  return { database, postgres, writer, inLane, left };
}

function answered(work: (replier: Replier) => void): Promise<CommitReply> {
  return new Promise((resolve, reject) => {
    work({ deadlineMs: 1, reply: (value) => resolve(value as CommitReply), fail: reject });
  });
}

test('the owner takes over what two others stored, in the order of each, and the tables go with their writers', async (t) => {
  const { database, writer, inLane, left } = await setup(t);
  const [one, two] = [writer(), writer()];
  for (let round = 1; round <= 3; round += 1) {
    assert.deepEqual(await one.store(`one-${round}`), { kind: 'committed' });
    await two.store(`two-${round}`);
  }
  await one.inbox.close();
  await one.store('one-4');
  const owner = storageFixture(database);
  const { queues, ledger: sums } = await owner.stats();
  assert.equal(queues[0]?.pending, 14);
  assert.deepEqual(sums, [{ sourceId: 's', destinationId: '', kind: 'accepted', count: 14 }]);
  const ids = await inLane();
  for (const name of ['one', 'two']) {
    const own = ids.filter((id) => id.startsWith(name));
    assert.deepEqual(own, [...own].sort(), 'in the order in which they were stored');
  }
  assert.equal(await left(), 2, 'those that are still open');
  await two.store('two-late');
  await pollUntil('what is stored later to be taken over', async () =>
    (await inLane()).includes('two-late') ? true : undefined,
  );
  await Promise.all([one.inbox.close(), two.inbox.close()]);
  await pollUntil('the tables to be gone', async () => ((await left()) === 0 ? true : undefined));
});

test('the next owner goes on where the one before had come to, without a repetition or a gap', async (t) => {
  const { database, writer, inLane } = await setup(t);
  const { store } = writer();
  for (let index = 1; index <= 4; index += 1) await store(`m${index}`);
  const first = storageFixture(database);
  await first.stats();
  await first.stop();
  for (let index = 5; index <= 6; index += 1) await store(`m${index}`);
  const second = storageFixture(database);
  assert.equal((await second.stats()).queues[0]?.pending, 12);
  assert.deepEqual(
    await inLane(),
    [1, 2, 3, 4, 5, 6].flatMap((index) => [`m${index}`, `m${index}`]),
  );
});

test('an owner that was replaced takes nothing over and drops nothing', async (t) => {
  const { postgres, writer, left } = await setup(t);
  const { inbox, store } = writer();
  await store('kept');
  await inbox.close();
  const committed: ImportPosition[] = [];
  await postgres.withSession(async (session) => {
    const fence = await takeLane(session, 0, 'replaced');
    await session.query('update sluice_lanes set epoch = epoch + 1 where lane = 0');
    const late = new InboxImport({
      lane: 0,
      postgres,
      log: { debug: () => undefined, ...silentLog },
      fenceSql: () => fenceSql(fence),
      commit: (_commit: Commit, replier: Replier, imported: ImportPosition) => {
        committed.push(imported);
        replier.reply({ kind: 'committed' });
      },
    });
    // It is told that its commit succeeded, which the lane's own fence would never do; even so nothing is dropped.
    await assert.rejects(late.run(), { code: 'POSTGRES_FENCED' });
    await session.query('select pg_advisory_unlock_all()');
  });
  assert.equal(committed.length, 1);
  assert.equal(await left(), 1);
});

test('what Postgres would refuse is refused before it is acknowledged, and its neighbours are stored', async (t) => {
  const { database, writer, inLane } = await setup(t);
  const { store } = writer();
  const replies = await Promise.all([store('good'), store('bad', 'nul\u0000here'), store('good too')]);
  assert.deepEqual(
    replies.map(({ kind }) => kind),
    ['committed', 'refused', 'committed'],
  );
  await storageFixture(database).stats();
  assert.deepEqual(await inLane(), ['good', 'good', 'good too', 'good too']);
});

test('a writer whose connection is cut answers that it does not know, and goes on with another inbox', async (t) => {
  const { postgres, writer, inLane, database } = await setup(t);
  const { store } = writer();
  await store('before');
  await postgres.query(
    `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and classid = 725104 and granted`,
  );
  const outcomes: string[] = [];
  for (const id of ['cut', 'after'])
    outcomes.push(
      await store(id).then(
        () => 'stored',
        () => 'unknown',
      ),
    );
  assert.equal(outcomes.at(-1), 'stored');
  await storageFixture(database).stats();
  const ids = await inLane();
  assert.deepEqual([ids.includes('before'), ids.includes('after')], [true, true]);
});
