// A job run of reverse ETL through the whole program: every record is counted at the source and at its destination, what
// the destination refuses is told by its record id, and the digits of a large number arrive as they were sent.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { basic, post } from '../support/gateway-client.ts';
import { startPipeline, writeKey } from '../support/pipeline.ts';
import { pollUntil } from '../support/poll.ts';

const token = 'admin-secret';
const large = '1152921504606846977';

test('tells what became of a job run, record by record', { timeout: 120_000 }, async (t) => {
  const { program, destination } = await startPipeline(t, { env: { SLUICE_ADMIN_TOKEN: token } });
  destination.respond(({ body }) => (body.toString().includes('"refuse me"') ? 400 : 200));
  const events = ['keep me', 'refuse me', 'keep me'].map(
    (event, index) =>
      `{"type":"track","event":"${event}","userId":"u${index}","recordId":{"row":${index}},"properties":{"n":${large}}}`,
  );
  const sent = await post(`${program.gatewayUrl}/v1/batch`, `{"batch":[${events.join(',')}]}`, {
    writeKey,
    headers: { 'X-Rudder-Job-Run-Id': 'run-1', 'X-Rudder-Task-Run-Id': 'task-1' },
  });
  assert.equal(sent.status, 200);
  const headers = { authorization: `Bearer ${token}` };
  const statusUrl = `${program.gatewayUrl}/internal/v2/job-status/run-1`;
  assert.equal((await fetch(statusUrl, { headers: { authorization: basic(writeKey) } })).status, 401);
  const source = await pollUntil('the run to be complete', async () => {
    const { tasks } = (await (await fetch(statusUrl, { headers })).json()) as JobStatusAnswer;
    return tasks[0]?.sources[0]?.completed === true ? tasks[0].sources[0] : undefined;
  });
  assert.deepEqual(source.stats, { in: 3, out: 3, failed: 0 });
  assert.deepEqual(
    source.destinations.map(({ stats }) => stats),
    [{ in: 3, out: 2, failed: 1 }],
  );
  const failed = await (await fetch(`${statusUrl}/failed-records`, { headers })).text();
  assert.match(failed, /"records":\[\{"record":\{"row":1\},"code":400\}\]/);
  for (const { body } of destination.accepted()) assert.match(body.toString(), new RegExp(`"n":${large}\\b`));
  assert.equal((await fetch(statusUrl, { method: 'DELETE', headers })).status, 204);
  const drain = await fetch(`${program.gatewayUrl}/internal/drain/job/run-2`, { method: 'PUT', headers });
  assert.equal(drain.status, 201);
});

interface JobStatusAnswer {
  tasks: { sources: { completed: boolean; stats: unknown; destinations: { stats: unknown }[] }[] }[];
}
