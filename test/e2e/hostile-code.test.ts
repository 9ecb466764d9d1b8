// A tenant whose code tries everything beside one whose code behaves: what the first one's events meet is their own
// business, the second one's all arrive, changed and in order, and every event of both is counted.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openCluster } from '../support/embedded-cluster.ts';
import { eventOf, type FakeDestination } from '../support/fake-destination.ts';
import { post, track } from '../support/gateway-client.ts';
import { readLedger } from '../support/ledger.ts';
import { startPipeline } from '../support/pipeline.ts';
import { pollUntil } from '../support/poll.ts';
import { pendingJobs } from '../support/status.ts';
import type { SourceSpec } from '../support/workspace-file.ts';

const goodCode = `
  export function transformEvent(event) {
    return { ...event, seen: [typeof process, typeof require, Object.keys(Object.prototype).length, event.toJSON === undefined] };
  }`;
const hostileCode = `
  const sequences = [];
  export async function transformEvent(event) {
    const n = event.properties.sequence;
    sequences.push(n);
    if (n === 1) for (;;);
    if (n === 2) { const kept = []; for (;;) kept.push(new Array(1000).fill(n)); }
    if (n === 3) return { ...event, text: 'x'.repeat(10000000) };
    if (n === 4) { Object.prototype.toJSON = () => 'mine'; Array.prototype[0] = event; globalThis.JSON = {}; }
    if (n === 5) return { ...event, env: String(this.constructor.constructor('return process')().env) };
    if (n === 6) return /^(a+)+$/.test('a'.repeat(40) + 'b') ? event : null;
    if (n === 7) return new Promise(() => {});
    if (n === 8) for (;;) await null;
    if (n === 9) return fetch('http://169.254.169.254/latest/').then((answer) => ({ ...event, answer }));
    return event;
  }`;
const count = 10;

function sources(destination: FakeDestination): SourceSpec[] {
  const source = (id: string, code: string): SourceSpec => ({
    id: `src-${id}`,
    writeKey: `wk-${id}`,
    workspaceId: `ws-${id}`,
    destinations: [{ id: `dst-${id}`, url: destination.url(`/${id}`), code }],
  });
  return [source('good', goodCode), source('bad', hostileCode)];
}

test('hostile code costs its own events and nobody else’s', { timeout: 120_000 }, async (t) => {
  const { program, destination } = await startPipeline(t, {
    sources,
    env: {
      SLUICE_TRANSFORMATIONS_PAUSE_MS_MAX: '100',
      SLUICE_TRANSFORMATIONS_CPU_MS_MAX: '200',
      SLUICE_TRANSFORMATIONS_WALL_MS_MAX: '2000',
    },
  });
  for (let sequence = 0; sequence < count; sequence += 1) {
    for (const id of ['bad', 'good']) {
      const answer = await post(`${program.gatewayUrl}/v1/track`, track(`user-${id}`, sequence), {
        writeKey: `wk-${id}`,
      });
      assert.equal(answer.status, 200);
    }
  }
  await destination.waitFor('all of the good one', () => destination.accepted('/good').length === count);
  const good = destination.accepted('/good');
  assert.deepEqual(
    good.map((delivery) => eventOf(delivery).sequence),
    Array.from({ length: count }, (_, index) => index),
  );
  for (const { body } of good) {
    assert.deepEqual(JSON.parse(body.toString()).seen, ['undefined', 'undefined', 0, true]);
  }
  await pollUntil('the queues to be empty', async () =>
    pendingJobs(await program.json('/status')) === 0 ? true : undefined,
  );
  const bad = destination.accepted('/bad').map(({ body }) => JSON.parse(body.toString()));
  const arrived = bad.map(({ properties }) => properties.sequence as number);
  assert.deepEqual(
    [0, 9].filter((sequence) => !arrived.includes(sequence)),
    [],
    'what does no harm goes through',
  );
  for (const { properties, ...others } of bad) {
    if (properties.sequence === 9) assert.equal(others.answer, 'ERROR');
    assert.equal('env' in others, false);
  }
  const ledger = await readLedger(openCluster(t, program.dataDir));
  assert.deepEqual(ledger.faults(await program.json('/status')), []);
  const of = (kind: 'routed' | 'filtered' | 'aborted' | 'delivered') => ledger.count('src-bad', 'dst-bad', kind);
  assert.equal(of('routed'), count);
  assert.equal(of('filtered') + of('aborted') + of('delivered'), count);
});
