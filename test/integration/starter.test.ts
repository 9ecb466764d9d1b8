// The starter workspace on disk and its receiver over real HTTP.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { describeDelivery, openStarterReceiver } from '../../actors/services/starter-receiver.ts';
import { ensureStarterWorkspace, starterText } from '../../actors/services/starter-workspace.ts';
import { parseWorkspaceFile } from '../../actors/services/workspace-file.ts';
import { realSeams } from '../../runtime/index.ts';

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'sluice-starter-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  return join(path, 'data');
}

async function sourceIn(path: string) {
  const reading = parseWorkspaceFile({ path, bytes: await readFile(path), environment: {} });
  assert.ok(reading.ok);
  const [source] = reading.sources;
  assert.ok(source !== undefined);
  return source;
}

test('makes a good workspace once, with a write key of its own, readable by its owner only', async (t) => {
  const dataDir = await folder(t);
  const first = await ensureStarterWorkspace({ dataDir, receiverPort: 8082 });
  assert.deepEqual(first, { path: join(dataDir, 'workspace.yaml'), created: true });
  const source = await sourceIn(first.path);
  assert.match(source.writeKey, /^wk_[\w-]{24}$/);
  assert.deepEqual(
    source.destinations.map(({ config, destinationDefinition }) => [destinationDefinition.name, config]),
    [['WEBHOOK', { webhookUrl: 'http://127.0.0.1:8082/', webhookMethod: 'POST' }]],
  );
  assert.equal((await stat(first.path)).mode & 0o777, 0o600);
  assert.equal((await ensureStarterWorkspace({ dataDir, receiverPort: 8082 })).created, false);
  assert.equal((await sourceIn(first.path)).writeKey, source.writeKey);
  const other = await ensureStarterWorkspace({ dataDir: await folder(t), receiverPort: 8082 });
  assert.notEqual((await sourceIn(other.path)).writeKey, source.writeKey);
});

test('follows the port of the receiver, and keeps its hands off a line somebody changed', async (t) => {
  const dataDir = await folder(t);
  const { path } = await ensureStarterWorkspace({ dataDir, receiverPort: 1111 });
  await ensureStarterWorkspace({ dataDir, receiverPort: 2222 });
  assert.equal((await sourceIn(path)).destinations[0]?.config.webhookUrl, 'http://127.0.0.1:2222/');
  const text = starterText('wk', 1111);
  for (const mine of [text.replace(/ # the local receiver.*/, ''), text.replace('127.0.0.1:1111', '127.0.0.1:9000')]) {
    assert.notEqual(mine, text);
    await writeFile(path, mine);
    await ensureStarterWorkspace({ dataDir, receiverPort: 3333 });
    assert.equal(await readFile(path, 'utf8'), mine);
  }
});

test('prints one line for each delivery and answers 200', async (t) => {
  const lines: string[] = [];
  const receiver = await openStarterReceiver({ port: 0, clock: realSeams().clock, print: (line) => lines.push(line) });
  t.after(() => receiver.close());
  const bodies = ['{"type":"track","event":"Order","userId":"u-1","messageId":"m-1"}', 'not JSON', ''];
  for (const body of bodies) {
    const answer = await fetch(`http://127.0.0.1:${receiver.port}/`, { method: 'POST', body });
    assert.equal(answer.status, 200);
    await answer.text();
  }
  assert.deepEqual(
    lines.map((line) => line.replace(/^\d\d:\d\d:\d\d\.\d\d\d/, 'TIME')),
    ['TIME  track  "Order"  user u-1  message m-1\n', 'TIME  delivered  8 bytes\n', 'TIME  delivered  0 bytes\n'],
  );
});

test('describes what an event has, and lets nothing through that could steer a terminal', () => {
  const line = (event: unknown): string => describeDelivery(JSON.stringify(event), 0).slice(14);
  assert.equal(line({ type: 'page', name: 'Home', anonymousId: 'a' }), 'page  "Home"  anonymous a');
  assert.equal(line({}), 'event');
  assert.equal(line({ type: 'track', event: '\u001b[2Jx\u009by\n\u202e' }), 'track  "?[2Jx?y??"');
  assert.equal(line({ event: 'x'.repeat(500), userId: 7 }), `event  "${'x'.repeat(80)}…"`);
});
