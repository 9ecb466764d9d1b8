// The program with a control plane instead of a workspace file: events flow from the start, changes reach the threads,
// a restart while the control plane is away works, and a first start without one refuses instead of misleading.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestControlPlane } from '../support/control-plane.ts';
import { type FakeDestination, startDestination } from '../support/fake-destination.ts';
import { post, track } from '../support/gateway-client.ts';
import { send, writeKey } from '../support/pipeline.ts';
import { pollUntil } from '../support/poll.ts';
import { type Program, startProgram } from '../support/program.ts';
import { property } from '../support/status.ts';
import { workspaceText } from '../support/workspace-file.ts';

function sourcesTo(destination: FakeDestination, path: string): unknown[] {
  const destinations = [{ id: 'dst-1', url: destination.url(path) }];
  const text = workspaceText([{ id: 'src-1', writeKey, destinations, workspaceId: 'w1' }]);
  return (JSON.parse(text) as { sources: unknown[] }).sources;
}

async function stateOf(program: Program): Promise<unknown> {
  const services = property(await program.json('/status'), 'services');
  const all = Array.isArray(services) ? services : [];
  return property(
    all.find((service) => property(service, 'name') === 'backend-config'),
    'state',
  );
}

test('events flow by the configuration of a control plane, also while it is away', { timeout: 180_000 }, async (t) => {
  const destination = await startDestination(t);
  const plane = new TestControlPlane();
  await plane.listen(t);
  // Nothing useful at first: nobody's key is wrong as long as there is no configuration.
  plane.bad = (response) => response.writeHead(500).end();
  const env = {
    SLUICE_BACKEND_CONFIG_URL: plane.url,
    SLUICE_BACKEND_CONFIG_TOKEN: plane.token,
    SLUICE_BACKEND_CONFIG_NAMESPACE: 'tenants',
    SLUICE_BACKEND_CONFIG_POLL_MS: '100',
    SLUICE_BACKEND_CONFIG_FIRST_ANSWER_MS: '200',
  };
  const first = await startProgram(t, { env });
  const refused = await pollUntil('the gateway to answer', () =>
    post(`${first.gatewayUrl}/v1/track`, track('anna', 0), { writeKey }),
  );
  assert.deepEqual([refused.status, refused.headers.get('retry-after')], [503, '1']);
  plane.put('w1', sourcesTo(destination, '/one'));
  plane.bad = undefined;
  await first.waitReady();
  await send(first, track('anna', 1));
  await destination.waitForAccepted(1);
  plane.put('w1', sourcesTo(destination, '/two'));
  await first.waitForOutput(/"version":2,"changed":1|version: 2[\s\S]*changed: 1/);
  await send(first, track('anna', 2));
  await destination.waitForAccepted(2);
  assert.deepEqual(
    destination.deliveries.map(({ path }) => path),
    ['/one', '/two'],
  );
  assert.equal(await stateOf(first), 'working');
  assert.equal((await first.stop()).code, 0);

  plane.bad = (response) => response.writeHead(503).end();
  const second = first.again();
  await second.waitReady();
  assert.equal(await stateOf(second), 'degraded');
  await send(second, track('anna', 3));
  await destination.waitForAccepted(3);
  assert.equal(destination.deliveries.at(-1)?.path, '/two');
});
