// What the processor gives up for one destination is kept with the event, listed, exported, and goes to this destination
// alone when it is tried again; what it gives up at the source is tried again there, and is nobody's duplicate.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runCommand } from '../support/command.ts';
import { openCluster } from '../support/embedded-cluster.ts';
import { eventOf, type FakeDestination } from '../support/fake-destination.ts';
import { track } from '../support/gateway-client.ts';
import { readLedger } from '../support/ledger.ts';
import { send, sourceId, startPipeline, writeKey } from '../support/pipeline.ts';
import { pollUntil } from '../support/poll.ts';
import type { Program } from '../support/program.ts';
import { pendingJobs, property } from '../support/status.ts';
import { type SourceSpec, writeWorkspace } from '../support/workspace-file.ts';

const throwing = "export function transformEvent(event) { throw new Error('not today'); }";
const halfGood = 'export function transformEvent(event) { return [event, { ...event, second: true }]; }';

interface Listed {
  jobId: number;
  queue: string;
  parameters: { destination_id: string; stage: string };
  answer: { reason: string; stage: string };
}

function sources(destination: FakeDestination, { fixed }: { fixed: boolean }): SourceSpec[] {
  const url = (path: string): string => (fixed ? destination.url(path) : '');
  return [
    {
      id: sourceId,
      writeKey,
      destinations: [
        { id: 'good', url: destination.url('/good') },
        { id: 'unset', url: url('/unset') },
        { id: 'copies', url: url('/copies'), code: halfGood },
        { id: 'coded', url: destination.url('/coded'), code: fixed ? halfGood : throwing },
      ],
    },
  ];
}

async function deadLetters(program: Program, query = ''): Promise<Listed[]> {
  const answer = await fetch(`${program.adminUrl}/dead-letters${query}`);
  const { deadLetters: letters } = (await answer.json()) as { deadLetters: Listed[] };
  return letters;
}

async function retry(program: Program, body: object): Promise<unknown> {
  const answer = await fetch(`${program.adminUrl}/dead-letters/retry`, { method: 'POST', body: JSON.stringify(body) });
  return property(await answer.json(), 'retried');
}

/** As an operator has it: `sluice dead-letters …`, beside the running program. */
async function command(program: Program, parameters: readonly string[]): Promise<string> {
  const port = `--admin.port=${new URL(program.adminUrl).port}`;
  const { exitCode, out, problem } = await runCommand(['dead-letters', ...parameters, port], {});
  assert.equal(exitCode, 0, problem);
  return out;
}

async function untilIdle(program: Program): Promise<void> {
  await pollUntil('the queues to be empty', async () =>
    pendingJobs(await program.json('/status')) === 0 ? true : undefined,
  );
}

test('an event that the processor gave up for a destination is kept, and sent there alone later', {
  timeout: 120_000,
}, async (t) => {
  const { program, destination, workspaceFile } = await startPipeline(t, {
    sources: (fake) => sources(fake, { fixed: false }),
  });
  for (let sequence = 0; sequence < 3; sequence += 1) await send(program, track('anna', sequence));
  await destination.waitForAccepted(3);
  await untilIdle(program);

  const letters = await deadLetters(program);
  const summary = letters.map(
    ({ queue, parameters, answer }) => `${queue} ${parameters.destination_id} ${answer.stage}`,
  );
  assert.deepEqual(
    new Map(summary.map((line) => [line, summary.filter((one) => one === line).length])),
    new Map([
      ['err coded user_transformer', 3],
      ['err copies dest_transformer', 6],
      ['err unset dest_transformer', 3],
    ]),
  );
  assert.equal((await deadLetters(program, '?destinationId=unset')).length, 3);
  const exported = await (await fetch(`${program.adminUrl}/dead-letters/export?destinationId=coded`)).text();
  assert.equal(exported.trim().split('\n').length, 3);
  assert.match(exported, /not today/);

  writeWorkspace(workspaceFile, sources(destination, { fixed: true }));
  await pollUntil('the new configuration', async () =>
    property(property(await program.json('/status'), 'workspace'), 'version') === 2 ? true : undefined,
  );
  const listedByHand = await command(program, ['list', '--destination', 'unset']);
  assert.match(listedByHand, /err {2}unset {2}run-anna-2 {2}400 {2}dest_transformer/);
  assert.match(await command(program, ['retry', '--destination', 'unset', '--since', '1h']), /"retried":\s*3/);
  assert.equal(await retry(program, { destinationId: 'copies' }), 6);
  assert.equal(await retry(program, { destinationId: 'coded' }), 3);
  await destination.waitForAccepted(18);
  await untilIdle(program);
  const at = (path: string) =>
    destination
      .accepted()
      .filter((delivery) => delivery.path === path)
      .map((delivery) => eventOf(delivery).sequence);
  assert.deepEqual(at('/good'), [0, 1, 2], 'nothing is sent twice to the others');
  assert.deepEqual(at('/unset'), [0, 1, 2]);
  assert.deepEqual(at('/copies').sort(), [0, 0, 1, 1, 2, 2], 'one job per copy, and no code runs over it again');
  assert.deepEqual(at('/coded'), [0, 0, 1, 1, 2, 2]);
  assert.deepEqual(await deadLetters(program), []);
  const keys = new Set(destination.accepted().map(({ idempotencyKey }) => idempotencyKey));
  assert.equal(keys.size, 18);

  const ledger = await readLedger(openCluster(t, program.dataDir));
  assert.deepEqual(ledger.faults(await program.json('/status')), []);
  assert.equal(ledger.count(sourceId, '', 'accepted'), 3);
  assert.equal(ledger.count(sourceId, '', 'processed'), 3);
  for (const id of ['unset', 'copies', 'coded']) assert.equal(ledger.count(sourceId, id, 'aborted'), 0);
  assert.equal(ledger.count(sourceId, 'unset', 'delivered'), 3);
});
