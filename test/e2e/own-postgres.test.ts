// The main job on a PostgreSQL of the operator's own, whatever version the tests are pointed to: events in, killed in
// the middle, started again, everything delivered, the ledger balanced.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { runCommand } from '../support/command.ts';
import { testDatabase } from '../support/database.ts';
import { eventOf } from '../support/fake-destination.ts';
import { checkDeliveries } from '../support/order-checker.ts';
import { startPipeline, UserLoad } from '../support/pipeline.ts';
import { pollUntil } from '../support/poll.ts';
import { pendingJobs } from '../support/status.ts';

test('delivers everything from a server that is not ours, also after SIGKILL', { timeout: 180_000 }, async (t) => {
  const database = await testDatabase(t, { empty: true });
  const env = { SLUICE_POSTGRES_URL: database.url };
  const { program, destination } = await startPipeline({ after: (work) => database.beforeDrop(work) }, { env });
  const load = new UserLoad();
  const running = load.run(program, 8, 'own');
  await destination.waitForAccepted(200);
  await program.kill();
  await running;

  const restarted = await program.again().waitReady();
  const arrived = () =>
    destination.accepted().map((delivery) => ({ ...eventOf(delivery), idempotencyKey: delivery.idempotencyKey }));
  const report = () => checkDeliveries(load.acknowledged, arrived(), load.uncertain);
  await destination.waitFor('every acknowledged event to arrive', () => report().lost.length === 0);
  await pollUntil('nothing to be pending', async () =>
    pendingJobs(await restarted.json('/status')) === 0 ? true : undefined,
  );
  const { lost, unknown, unrecognisable, outOfOrder } = report();
  assert.deepEqual(
    { lost, unknown, unrecognisable, outOfOrder },
    { lost: [], unknown: [], unrecognisable: [], outOfOrder: [] },
  );
  const ledger = await runCommand(['ledger'], env);
  assert.equal(ledger.exitCode, 0, `${ledger.out}${ledger.problem}`);
  assert.equal((await restarted.stop()).code, 0);
});
