// Duplicates in the running program: of a batch, of another request and from before a SIGKILL they are dropped, each
// counted, and nothing else is.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { post, track } from '../support/gateway-client.ts';
import { send, startPipeline, writeKey } from '../support/pipeline.ts';
import { pollUntil } from '../support/poll.ts';
import { startProgram } from '../support/program.ts';
import { pendingJobs, property } from '../support/status.ts';

test('what was sent before is delivered once, also across a SIGKILL, and the ledger says so', {
  timeout: 120_000,
}, async (t) => {
  const { program, destination, workspaceFile } = await startPipeline(t);
  const batch = [0, 1, 1, 0, 2].map((sequence) => track('anna', sequence));
  const answer = await post(`${program.gatewayUrl}/v1/batch`, { batch }, { writeKey });
  assert.equal(answer.status, 200);
  await send(program, track('anna', 2));
  await send(program, track('anna', 3));
  await destination.waitForAccepted(4);
  await pollUntil('nothing to be pending', async () =>
    pendingJobs(await program.json('/status')) === 0 ? true : undefined,
  );
  // Some are acknowledged and not processed when the program dies.
  for (let sequence = 4; sequence < 8; sequence += 1) await send(program, track('anna', sequence));
  await program.kill();

  const again = await startProgram(t, { workspaceFile, dataDir: program.dataDir });
  await again.waitReady();
  for (let sequence = 0; sequence < 9; sequence += 1) await send(again, track('anna', sequence));
  await destination.waitForAccepted(9);
  await pollUntil('nothing to be pending', async () =>
    pendingJobs(await again.json('/status')) === 0 ? true : undefined,
  );
  const delivered = new Set(
    destination.deliveries.map(({ body }) => String(property(JSON.parse(String(body)), 'messageId'))),
  );
  assert.equal(delivered.size, 9);
  const keys = new Set(destination.deliveries.map(({ idempotencyKey }) => idempotencyKey));
  assert.equal(keys.size, 9, 'one job for each event: no duplicate became one');
  const status = await again.json('/status');
  const count = (kind: string) => Number(property(property(status, 'ledger'), kind));
  assert.deepEqual([count('accepted'), count('processed'), count('deduplicated')], [20, 9, 11]);
});
