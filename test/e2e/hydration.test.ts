// Sources whose events the transformer completes first: they arrive complete and in order, what cannot be completed is
// kept, and a transformer that is away holds up nobody else.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openCluster } from '../support/embedded-cluster.ts';
import { eventOf, type FakeDestination } from '../support/fake-destination.ts';
import { post, track } from '../support/gateway-client.ts';
import { readLedger } from '../support/ledger.ts';
import { startPipeline } from '../support/pipeline.ts';
import { pollUntil } from '../support/poll.ts';
import { pendingJobs, property } from '../support/status.ts';
import { TestTransformer } from '../support/test-transformer.ts';
import type { SourceSpec } from '../support/workspace-file.ts';

const definition = {
  id: 'sd',
  name: 'FORMS',
  category: 'cloud',
  type: 'cloud',
  options: { hydration: { enabled: true } },
};

function sources(destination: FakeDestination): SourceSpec[] {
  const to = (id: string) => [{ id: `to-${id}`, url: destination.url(`/${id}`) }];
  return [
    {
      id: 'forms',
      writeKey: 'wk-forms',
      options: { sourceDefinition: definition, internalSecret: 's' },
      destinations: to('forms'),
    },
    { id: 'plain', writeKey: 'wk-plain', destinations: to('plain') },
  ];
}

test('events are completed before they go on; what cannot be is kept, and others do not wait', {
  timeout: 120_000,
}, async (t) => {
  const transformer = await TestTransformer.start(t);
  const { program, destination } = await startPipeline(t, {
    sources,
    env: { SLUICE_TRANSFORMER_URL: transformer.url },
  });
  let isAway = true;
  transformer.fault = ({ path, body }) => {
    if (!path.endsWith('/hydrate')) return undefined;
    if (isAway) return { kind: 'status', status: 503 };
    return JSON.stringify(body).includes('"poison"') ? { kind: 'status', status: 500 } : undefined;
  };
  transformer.hydrate = (event) =>
    event.event === 'unknown' ? { statusCode: 404 } : { statusCode: 200, event: { ...event, answers: 'all' } };
  const send = async (writeKey: string, events: object[]): Promise<void> => {
    const answer = await post(`${program.gatewayUrl}/v1/batch`, { batch: events }, { writeKey });
    assert.equal(answer.status, 200, answer.text);
  };
  const events = Array.from({ length: 6 }, (_, sequence) => track('anna', sequence));
  events[2] = { ...track('anna', 2), event: 'unknown' };
  events[4] = { ...track('anna', 4), event: 'poison' };
  await send('wk-forms', events);
  await pollUntil('the transformer to be asked', async () => (transformer.asked().length > 0 ? true : undefined));
  await send('wk-plain', [track('bert', 0)]);
  await destination.waitForAccepted(1);
  assert.equal(destination.accepted('/plain').length, 1, 'it does not wait for the transformer');

  isAway = false;
  await destination.waitForAccepted(5);
  await pollUntil('the queues to be empty', async () =>
    pendingJobs(await program.json('/status')) === 0 ? true : undefined,
  );
  const arrived = destination.accepted('/forms');
  assert.deepEqual(
    arrived.map((delivery) => eventOf(delivery).sequence),
    [0, 1, 3, 5],
  );
  assert.ok(arrived.every(({ body }) => JSON.parse(body.toString()).answers === 'all'));
  const body = transformer.asked()[0]?.body;
  assert.equal(transformer.asked()[0]?.path, '/v2/sources/forms/hydrate');
  assert.deepEqual(
    [property(property(body, 'source'), 'id'), property(property(body, 'source'), 'internalSecret')],
    ['forms', 's'],
  );
  const { deadLetters } = (await program.json('/dead-letters')) as { deadLetters: { queue: string; answer: object }[] };
  const told = deadLetters.map(({ queue, answer }) => `${queue} ${property(answer, 'stage')}`);
  assert.deepEqual(told, ['gw source_hydration', 'gw source_hydration']);

  transformer.fault = () => undefined;
  transformer.hydrate = (event) => ({ statusCode: 200, event });
  const request = { method: 'POST', body: JSON.stringify({ sourceId: 'forms' }) };
  const again = await fetch(`${program.adminUrl}/dead-letters/retry`, request);
  assert.equal(property(await again.json(), 'retried'), 2);
  await destination.waitForAccepted(7);
  const ledger = await readLedger(openCluster(t, program.dataDir));
  assert.equal(ledger.count('forms', '', 'processed'), 6);
  assert.equal(ledger.count('forms', '', 'aborted'), 0);
});
