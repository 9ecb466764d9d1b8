// The start of a storage actor when something goes wrong in it: what it had begun is undone, so that the next attempt
// can succeed.

import { test } from 'node:test';
import { testDatabase } from '../support/database.ts';
import { pollUntil } from '../support/poll.ts';
import { storageFixture } from '../support/storage-fixture.ts';

test('a start that fails half-way lets go of the lane, and the next one succeeds', async (t) => {
  const database = await testDatabase(t);
  const first = storageFixture(database);
  await first.store('gw', ['a']);
  await first.stop();
  const other = database.open();
  await other.query('alter table gw_status_1 rename to hidden');
  const second = storageFixture(database);
  await second.stats();
  // The first attempt is over once the lane was taken by it; the table comes back before the second.
  await pollUntil('a start to fail', async () => {
    const { rows } = await other.query<{ epoch: number }>('select epoch from sluice_lanes where lane = 0');
    return (rows[0]?.epoch ?? 0) > 1 ? true : undefined;
  });
  await other.query('alter table hidden rename to gw_status_1');
  await pollUntil('the lane to be taken', async () => {
    const { queues } = await second.stats();
    return queues.find(({ queue }) => queue === 'gw')?.pending === 1 ? true : undefined;
  });
});
