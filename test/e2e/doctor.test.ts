// `sluice doctor` beside a running program and in front of a broken start.

import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { runCommand } from '../support/command.ts';
import { postmasterPid } from '../support/embedded-cluster.ts';
import { startPipeline } from '../support/pipeline.ts';

interface Report {
  ok: boolean;
  findings: { name: string; verdict: string; found: string; fix: string }[];
}

test('the doctor sees a healthy program and does not disturb it', { timeout: 120_000 }, async (t) => {
  const { program } = await startPipeline(t);
  const pid = postmasterPid(program.dataDir);
  const { gatewayPort, adminPort, receiverPort } = program.options;
  const env = {
    SLUICE_DATA_DIR: program.dataDir,
    SLUICE_GATEWAY_PORT: String(gatewayPort),
    SLUICE_ADMIN_PORT: String(adminPort),
    SLUICE_STARTER_RECEIVER_PORT: String(receiverPort),
  };
  const { exitCode, out, problem } = await runCommand(['doctor', '--json'], env);
  const { ok, findings }: Report = JSON.parse(out);
  assert.equal(exitCode, 0, `${out}${problem}`);
  assert.equal(ok, true);
  const found = new Map(findings.map((finding) => [finding.name, finding.found]));
  assert.match(found.get('gateway port') ?? '', /used by a running Sluice/);
  assert.match(found.get('database') ?? '', /embedded, running as process/);
  assert.match(found.get('tables') ?? '', /those of this version; used by a running Sluice/);
  assert.equal(postmasterPid(program.dataDir), pid);
  assert.equal((await fetch(`${program.adminUrl}/readyz`)).status, 200);
});

test('the doctor names a port of somebody else and a server that does not answer', { timeout: 60_000 }, async (t) => {
  const stranger = createServer((socket) => socket.end('no HTTP at all\n')).listen(0, '127.0.0.1');
  await once(stranger, 'listening');
  t.after(() => stranger.close());
  const address = stranger.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const { exitCode, out } = await runCommand(['doctor'], {
    SLUICE_DATA_DIR: '/tmp',
    SLUICE_GATEWAY_HOST: '127.0.0.1',
    SLUICE_GATEWAY_PORT: String(port),
    SLUICE_ADMIN_PORT: '0',
    SLUICE_STARTER_RECEIVER_PORT: '0',
    SLUICE_POSTGRES_URL: 'postgres://anna:opensesame@127.0.0.1:1/events',
  });
  assert.equal(exitCode, 1);
  assert.match(out, /FAIL {2}gateway port +The gateway address .* is in use by another program/);
  assert.match(out, /FAIL {2}database +PostgreSQL cannot be used/);
  assert.doesNotMatch(out, /opensesame/);
});
