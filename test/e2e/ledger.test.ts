// Nothing silent: an entry that vanishes from the ledger is seen by the running program and by `sluice ledger`, which
// works beside a program and on what a stopped one has left.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { runCommand } from '../support/command.ts';
import { openCluster } from '../support/embedded-cluster.ts';
import { track } from '../support/gateway-client.ts';
import { send, startPipeline } from '../support/pipeline.ts';
import { pollUntil } from '../support/poll.ts';
import { pendingJobs, property } from '../support/status.ts';

test('a ledger entry that vanishes is an alarm, and the command exits with 1', { timeout: 120_000 }, async (t) => {
  const { program, destination } = await startPipeline(t, { env: { SLUICE_STORAGE_LEDGER_CHECK_MS: '1' } });
  const ledger = (...parameters: string[]) =>
    runCommand(['ledger', ...parameters], { SLUICE_DATA_DIR: program.dataDir });
  for (let sequence = 0; sequence < 3; sequence += 1) await send(program, track('anna', sequence));
  await destination.waitForAccepted(3);
  await pollUntil('nothing to be pending', async () =>
    pendingJobs(await program.json('/status')) === 0 ? true : undefined,
  );
  const balanced = await ledger();
  assert.equal(balanced.exitCode, 0, balanced.problem);
  assert.match(balanced.out, /src-test +dst-test +3 +3 +0 +0 +0 +0 +0/);

  const postgres = openCluster(t, program.dataDir);
  await postgres.query("delete from sluice_ledger_1 where kind = 'delivered'");
  const alarms = await pollUntil('the alarm', async () => {
    const found = property(await program.json('/status'), 'alarms');
    return Array.isArray(found) && found.length > 0 ? found : undefined;
  });
  assert.match(JSON.stringify(alarms), /missing from delivered of src-test to dst-test/);
  await program.waitForOutput(/the ledger does not balance/);
  assert.match(await (await fetch(`${program.adminUrl}/metrics`)).text(), /sluice_ledger_imbalanced\{[^}]*\} 1/);
  assert.equal((await fetch(`${program.adminUrl}/readyz`)).status, 200, 'events are taken all the same');

  const beside = await ledger('--since=1h', '--source=src-test', '--by-minute');
  assert.equal(beside.exitCode, 1, beside.problem);
  assert.match(beside.out, /NOT BALANCED/);
  await program.stop();
  const alone = await ledger('--json');
  assert.equal(alone.exitCode, 1, alone.problem);
  assert.equal(property(JSON.parse(alone.out), 'balanced'), false);
});
