// What an operator sees of events beside their deliveries, in the running program: reports by stage, at the admin server
// and on the command line, exactly what was sent; and a bundle for whoever helps.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { temporaryFolder } from '../support/cleanup.ts';
import { runCommand } from '../support/command.ts';
import { track } from '../support/gateway-client.ts';
import { destinationId, send, sourceId, startPipeline, writeKey } from '../support/pipeline.ts';
import { pollUntil } from '../support/poll.ts';

interface Report {
  reportedBy: string;
  state: string;
  destinationId?: string;
  count: number;
}

test('reports count every event at every stage, and a bundle holds what is needed and no secret', {
  timeout: 120_000,
}, async (t) => {
  const token = 'a-token-nobody-knows';
  const { program, destination } = await startPipeline(t, {
    sources: (receiver) => [
      {
        id: sourceId,
        writeKey,
        settings: { reporting: true },
        destinations: [{ id: destinationId, url: receiver.url() }],
      },
      { id: 'quiet', writeKey: 'wk-quiet', workspaceId: 'ws-quiet', destinations: [] },
    ],
    env: { SLUICE_REPORTING_PASSWORD: token },
  });
  destination.respond(({ attempt }) => (attempt === 1 ? 500 : 200));
  for (let sequence = 0; sequence < 5; sequence += 1) await send(program, track('ann', sequence));
  const reports = await pollUntil('the reports of all deliveries', async () => {
    const { reports: all } = (await program.json(`/reports?sourceId=${sourceId}`)) as { reports: Report[] };
    const delivered = all.find(({ reportedBy, state }) => reportedBy === 'router' && state === 'succeeded');
    return delivered?.count === 5 ? all : undefined;
  });
  const counts = reports.map(({ reportedBy, state, count }) => `${reportedBy} ${state} ${count}`).sort();
  assert.deepEqual(counts, [
    'dest_transformer succeeded 5',
    'destination_filter succeeded 5',
    'event_filter succeeded 5',
    'gateway succeeded 5',
    'router failed 5',
    'router succeeded 5',
  ]);

  const env = { SLUICE_DATA_DIR: program.dataDir, SLUICE_ADMIN_PORT: String(program.options.adminPort) };
  const own = { ...env, SLUICE_REPORTING_PASSWORD: token };
  const shown = await runCommand(['reports', '--json'], own);
  assert.equal(shown.exitCode, 0, shown.problem);
  assert.equal(JSON.parse(shown.out).reports.length, 6);

  const folder = await temporaryFolder(t);
  const bundled = await runCommand(['debug-bundle', '--out', folder], own);
  assert.equal(bundled.exitCode, 0, bundled.problem);
  const [name = ''] = readdirSync(folder);
  const text = gunzipSync(readFileSync(join(folder, name))).toString();
  for (const expected of ['about.json', 'settings.json', '"ledger"', 'sluice_pending_events', '"balanced": true']) {
    assert.ok(text.includes(expected), `expected ${expected} in the bundle`);
  }
  assert.ok(!text.includes(token) && !text.includes('missing.txt'), text.slice(-2_000));
});
