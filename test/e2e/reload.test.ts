// The workspace file is followed while the program runs: a good change takes effect whole, a bad one not at all.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventOf } from '../support/fake-destination.ts';
import { post, track } from '../support/gateway-client.ts';
import { destinationId, send, sourceId, startPipeline, writeKey } from '../support/pipeline.ts';
import { pollUntil } from '../support/poll.ts';
import type { Program } from '../support/program.ts';
import { property } from '../support/status.ts';
import { replaceFile, writeWorkspace } from '../support/workspace-file.ts';

async function workspaceVersion(program: Program): Promise<number> {
  return Number(property(property(await program.json('/status'), 'workspace'), 'version'));
}

test('a new destination receives events without a restart', { timeout: 120_000 }, async (t) => {
  const { program, destination, workspaceFile } = await startPipeline(t);
  await send(program, track('anna', 0));
  await destination.waitForAccepted(1);
  const before = await workspaceVersion(program);
  writeWorkspace(workspaceFile, [
    {
      id: sourceId,
      writeKey,
      destinations: [
        { id: destinationId, url: destination.url() },
        { id: 'dst-second', url: destination.url('/second') },
      ],
    },
  ]);
  await pollUntil('the change to be accepted', async () =>
    (await workspaceVersion(program)) > before ? true : undefined,
  );
  await send(program, track('anna', 1));
  await destination.waitForAccepted(3);
  assert.deepEqual(
    destination
      .accepted('/second')
      .map(eventOf)
      .map(({ sequence }) => sequence),
    [1],
  );
  assert.deepEqual(
    destination
      .accepted('/')
      .map(eventOf)
      .map(({ sequence }) => sequence),
    [0, 1],
  );
});

test('a bad version is refused whole and the last good one stays', { timeout: 120_000 }, async (t) => {
  const { program, destination, workspaceFile } = await startPipeline(t);
  const before = await workspaceVersion(program);
  const printed = program.output.length;
  replaceFile(workspaceFile, '{"workspaceId":"ws-test","sources":[{"id":"src-new","writeKey":"wk-new"},{"id":7}]}');
  await pollUntil('the refusal to be told', () =>
    /sources\[1\]/.test(program.output.slice(printed)) ? true : undefined,
  );
  assert.equal(await workspaceVersion(program), before);
  const refused = await post(`${program.gatewayUrl}/v1/track`, track('anna', 0), { writeKey: 'wk-new' });
  assert.equal(refused.status, 401, 'not even the good part of a bad version takes effect');
  await send(program, track('anna', 1));
  await destination.waitForAccepted(1);
  assert.equal((await fetch(`${program.adminUrl}/readyz`)).status, 200);
});

test('a source that is switched off is refused from then on', { timeout: 120_000 }, async (t) => {
  const { program, destination, workspaceFile } = await startPipeline(t);
  writeWorkspace(workspaceFile, [
    { id: sourceId, writeKey, enabled: false, destinations: [{ id: destinationId, url: destination.url() }] },
  ]);
  await pollUntil('the source to be off', async () => {
    const answer = await post(`${program.gatewayUrl}/v1/track`, track('anna', 0), { writeKey });
    return answer.status === 404 ? true : undefined;
  });
});
