// Several storage lanes in one process: every workspace's events stay in a lane of their own, in order, and settings
// that pending jobs depend on cannot be changed under them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openCluster } from '../support/embedded-cluster.ts';
import { eventOf, type FakeDestination } from '../support/fake-destination.ts';
import { post, track } from '../support/gateway-client.ts';
import { readLedger } from '../support/ledger.ts';
import { checkDeliveries } from '../support/order-checker.ts';
import { asSent, send, startPipeline } from '../support/pipeline.ts';
import { pollUntil } from '../support/poll.ts';
import { pendingJobs } from '../support/status.ts';
import type { SourceSpec } from '../support/workspace-file.ts';

const names = ['alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta'];
const eventsPerUser = 15;

function manyWorkspaces(destination: FakeDestination): SourceSpec[] {
  return names.map((name) => ({
    id: `src-${name}`,
    writeKey: `wk-${name}`,
    workspaceId: `ws-${name}`,
    destinations: [{ id: `dst-${name}`, url: destination.url(`/${name}`) }],
  }));
}

test('many workspaces share three lanes, each in order, and nothing is lost', { timeout: 120_000 }, async (t) => {
  const { program, destination } = await startPipeline(t, {
    sources: manyWorkspaces,
    env: { SLUICE_STORAGE_LANES: '3' },
  });
  const sent = await Promise.all(
    names.flatMap((name) =>
      ['one', 'two'].map(async (user) => {
        const events = Array.from({ length: eventsPerUser }, (_, index) => track(`${name}-${user}`, index, name));
        for (const event of events) {
          const answer = await post(`${program.gatewayUrl}/v1/track`, event, { writeKey: `wk-${name}` });
          assert.equal(answer.status, 200);
        }
        return events.map(asSent);
      }),
    ),
  );
  const arrived = () =>
    destination.accepted().map((delivery) => ({ ...eventOf(delivery), idempotencyKey: delivery.idempotencyKey }));
  await destination.waitForAccepted(sent.flat().length);
  assert.deepEqual(checkDeliveries(sent.flat(), arrived()), {
    lost: [],
    unknown: [],
    duplicates: [],
    unrecognisable: [],
    outOfOrder: [],
  });
  const status = await pollUntil('the queues to be empty', async () => {
    const now = await program.json('/status');
    return pendingJobs(now) === 0 ? now : undefined;
  });
  const postgres = openCluster(t, program.dataDir);
  assert.deepEqual((await readLedger(postgres)).faults(status), []);
  const { rows } = await postgres.query<{ lanes: number }>(
    `select count(distinct lane)::int as lanes from (
       select 0 as lane from gw_jobs_1 union all select 1 from gw_l1_jobs_1 union all select 2 from gw_l2_jobs_1
     ) as used`,
  );
  assert.equal(rows[0]?.lanes, 3, 'every lane has jobs');

  await program.stop();
  const fewer = await program.again({ env: { ...program.options.env, SLUICE_STORAGE_LANES: '2' } }).waitReady();
  const after = await readLedger(postgres);
  assert.deepEqual(after.faults(await fewer.json('/status')), [], 'nothing was pending: the lanes are fewer now');
});

test('another isolation is refused while jobs are pending, and taken over once they are gone', {
  timeout: 120_000,
}, async (t) => {
  const { program, destination } = await startPipeline(t);
  destination.respond(() => 500);
  await send(program, track('held-back', 0));
  await destination.waitFor('an attempt', () => destination.deliveries.length > 0);
  await program.stop();

  const env = { ...program.options.env, SLUICE_ROUTER_ISOLATION: 'none' };
  const refused = program.again({ env });
  assert.equal((await refused.waitForExit()).code, 69);
  for (const part of [/router\.isolation was "destination"/, /now "none"/, /1 pending/, /SLUICE_ROUTER_ISOLATION/]) {
    assert.match(refused.lastOutput(), part);
  }

  destination.respond(() => 200);
  const old = await program.again().waitReady();
  await destination.waitForAccepted(1);
  await pollUntil('nothing to be pending', async () =>
    pendingJobs(await old.json('/status')) === 0 ? true : undefined,
  );
  await old.stop();
  await program.again({ env }).waitReady();
});
