// Suppression by the admin API in the running program: nothing of a suppressed user is stored or delivered, the ledger
// balances with what was left out, and a restart forgets nobody.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { track } from '../support/gateway-client.ts';
import { send, startPipeline } from '../support/pipeline.ts';
import { pollUntil } from '../support/poll.ts';
import type { Program } from '../support/program.ts';
import { pendingJobs, property } from '../support/status.ts';

async function change(program: Program, method: string, query: string, body = ''): Promise<unknown> {
  const init = method === 'GET' || body === '' ? { method } : { method, body };
  const response = await fetch(`${program.adminUrl}/suppressions?${query}`, init);
  assert.equal(response.status, 200, await response.clone().text());
  return response.json();
}

test('an operator suppresses a file of users, and they stay so', { timeout: 180_000 }, async (t) => {
  const { program, destination } = await startPipeline(t, { env: { SLUICE_SUPPRESSION_STORE: 'full' } });
  assert.deepEqual(await change(program, 'POST', 'workspaceId=ws-test', 'anna\nbert\r\n\n'), { suppressed: 2 });
  for (const [index, user] of ['anna', 'carl', 'bert', 'carl'].entries()) await send(program, track(user, index));
  await destination.waitForAccepted(2);
  assert.deepEqual(await change(program, 'DELETE', 'workspaceId=ws-test&userId=bert'), { released: 1 });
  await send(program, track('bert', 4));
  await destination.waitForAccepted(3);
  const ledger = property(await program.json('/status'), 'ledger');
  assert.deepEqual([property(ledger, 'accepted'), property(ledger, 'suppressed')], [5, 2]);
  assert.equal((await program.stop()).code, 0);

  const again = program.again();
  await again.waitReady();
  const { users } = (await change(again, 'GET', '')) as { users: { userId: string }[] };
  assert.deepEqual(
    users.map(({ userId }) => userId),
    ['anna'],
  );
  await send(again, track('anna', 5));
  await send(again, track('dora', 6));
  await destination.waitForAccepted(4);
  await pollUntil('nothing to be pending', async () =>
    pendingJobs(await again.json('/status')) === 0 ? true : undefined,
  );
  const after = property(await again.json('/status'), 'ledger');
  const [accepted, processed, suppressed] = ['accepted', 'processed', 'suppressed'].map((kind) =>
    property(after, kind),
  );
  assert.deepEqual([accepted, processed, suppressed], [7, 4, 3]);
  assert.deepEqual(
    destination.deliveries.map(({ body }) => String(property(JSON.parse(body.toString()), 'userId'))),
    ['carl', 'carl', 'bert', 'dora'],
  );
});
