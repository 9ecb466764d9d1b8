// What storage does around a commit that Postgres refuses, or that is lost on its way: nothing that its session sent
// behind it is stored before it.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { testDatabase } from '../support/database.ts';
import { jobRows, storageFixture } from '../support/storage-fixture.ts';

test('nothing is stored of a session after a commit of it that was lost on its way', async (t) => {
  const database = await testDatabase(t);
  const fixture = storageFixture(database);
  fixture.open('gw', 'a', 10);
  await fixture.store('gw', ['a', 'a', 'a']);
  const ids = (await fixture.holds('gw', 'a', 3)).handed.map(({ jobId }) => jobId);
  const done = (index: number, sequence: number) => {
    const jobId = ids[index] ?? 0;
    return fixture.commit({
      jobs: [{ queue: 'rt', ...jobRows(['d'], { messageId: `event ${index}` }) }],
      results: [{ ...fixture.results('gw', 'a', { runs: [{ afterId: jobId - 1, jobIds: [jobId] }] }), sequence }],
    });
  };
  // The second never comes: the mailbox of the storage actor was full.
  const replies = [await done(0, 1), await done(2, 3), await done(2, 4)];
  assert.deepEqual(
    replies.map(({ kind }) => kind),
    ['committed', 'stale', 'stale'],
  );
  fixture.open('gw', 'a', 10);
  await fixture.holds('gw', 'a', 2);
  assert.equal((await done(1, 1)).kind, 'committed');
  assert.equal((await done(2, 2)).kind, 'committed');
  const { rows } = await database
    .open()
    .query<{ message_id: string }>('select message_id from rt_jobs_1 order by job_id');
  assert.deepEqual(
    rows.map(({ message_id: id }) => id),
    ['event 0', 'event 1', 'event 2'],
  );
});

test('a commit behind a refused one of its session is sent back untried, and others are not', async (t) => {
  const database = await testDatabase(t);
  const fixture = storageFixture(database);
  for (const partition of ['a', 'b']) {
    fixture.open('gw', partition, 10);
    await fixture.store('gw', [partition, partition]);
  }
  const idsOf = async (partition: string) => (await fixture.holds('gw', partition, 2)).handed.map(({ jobId }) => jobId);
  const [[first = 0, second = 0], [other = 0]] = [await idsOf('a'), await idsOf('b')];
  const done = (partition: string, jobId: number, messageId: string, refusalsSeen: number, userId = 'user') =>
    fixture.commit({
      jobs: [{ queue: 'rt', ...jobRows(['d'], { messageId, userId }) }],
      results: [
        { ...fixture.results('gw', partition, { runs: [{ afterId: jobId - 1, jobIds: [jobId] }] }), refusalsSeen },
      ],
    });
  const replies = await Promise.all([
    done('a', first, 'refused', 0, '\u0000'),
    done('a', second, 'too early', 0),
    done('b', other, 'other session', 0),
  ]);
  assert.deepEqual(
    replies.map(({ kind }) => kind),
    ['refused', 'behind', 'committed'],
  );
  assert.equal((await done('a', first, 'first', 1)).kind, 'committed');
  assert.equal((await done('a', second, 'second', 1)).kind, 'committed');
  const { rows } = await database
    .open()
    .query<{ message_id: string }>('select message_id from rt_jobs_1 order by job_id');
  assert.deepEqual(
    rows.map(({ message_id: id }) => id),
    ['other session', 'first', 'second'],
  );
});
