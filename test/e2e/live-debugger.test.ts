// The debuggers of the running program: open streams show attempts and transformations as they happen.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { track } from '../support/gateway-client.ts';
import { destinationId, send, sourceId, startPipeline, writeKey } from '../support/pipeline.ts';
import { pollUntil } from '../support/poll.ts';

/** Data of the first message of a stream, read while `act` is repeated until there is one. */
async function firstOf(url: string, act: () => Promise<void>): Promise<Record<string, unknown>> {
  const stop = new AbortController();
  const response = await fetch(url, { signal: stop.signal });
  assert.equal(response.status, 200);
  let text = '';
  const reading = (async () => {
    for await (const chunk of response.body ?? []) text += Buffer.from(chunk).toString();
  })().catch(() => undefined);
  const data = await pollUntil('a message of the stream', async () => {
    await act();
    return /^data: (\{.*\})$/m.exec(text)?.[1];
  });
  stop.abort();
  await reading;
  return JSON.parse(data);
}

test('streams of the admin server show deliveries and transformations', { timeout: 120_000 }, async (t) => {
  const code = 'export function transformEvent(event) { return { ...event, changed: true }; }';
  const { program } = await startPipeline(t, {
    sources: (destination) => [
      { id: sourceId, writeKey, destinations: [{ id: destinationId, url: destination.url(), code }] },
    ],
  });
  let sequence = 0;
  const act = (): Promise<void> => send(program, track('ann', sequence++));
  const query = `?destinationId=${destinationId}`;
  const delivery = await firstOf(`${program.adminUrl}/live/deliveries${query}`, act);
  assert.deepEqual([delivery.sourceId, delivery.jobState, delivery.errorCode], [sourceId, 'succeeded', '200']);
  assert.equal((delivery.payload as { changed: boolean }).changed, true);
  const transformation = await firstOf(`${program.adminUrl}/live/transformations${query}`, act);
  assert.equal((transformation.eventBefore as { changed?: boolean }).changed, undefined);
  assert.equal((transformation.eventsAfter as { changed: boolean }[])[0]?.changed, true);
  const unknown = await fetch(`${program.adminUrl}/live/deliveries?destinationId=none`);
  assert.equal(unknown.status, 404);
});
