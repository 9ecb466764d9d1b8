// A PostgreSQL that holds its connections and says nothing (a stopped process, a cut network, a hung disk) must not hold
// the program: a stop ends within its deadline, and what was accepted before is there when Postgres goes on.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freezeCluster, openCluster } from '../support/embedded-cluster.ts';
import { track } from '../support/gateway-client.ts';
import { send, startPipeline } from '../support/pipeline.ts';

const drainDeadlineMs = 4_000;
/** Of a busy machine, for starting and ending a process. */
const slackMs = 6_000;

test('a stop ends within its deadline while PostgreSQL is frozen', { timeout: 120_000 }, async (t) => {
  const { program } = await startPipeline(t, { env: { SLUICE_DRAIN_DEADLINE_MS: String(drainDeadlineMs) } });
  await send(program, track('anna', 1));
  const thaw = freezeCluster(t, program.dataDir);
  // Something is under way when the stop comes.
  const unanswered = send(program, track('anna', 2)).catch(() => undefined);
  const startedMs = performance.now();
  const exit = await program.stop();
  const tookMs = performance.now() - startedMs;
  assert.ok(tookMs < drainDeadlineMs + slackMs, `expected the stop within its deadline, took ${Math.round(tookMs)} ms`);
  assert.equal(exit.code, 1, program.lastOutput());
  await unanswered;
  thaw();
  // It was told to stop while it could not hear; a start adopts or starts it, and nothing is lost.
  const again = await program.again().waitReady();
  const { rows } = await openCluster(t, again.dataDir).query<{ count: number }>('select count(*) from gw_jobs_1');
  assert.ok((rows[0]?.count ?? 0) >= 1);
});
