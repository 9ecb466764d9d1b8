// A start that cannot succeed says why in one sentence, says what to do, exits with a code that scripts can tell apart,
// and leaves nothing running or half-made.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../support/cleanup.ts';
import { postmasterPid } from '../support/embedded-cluster.ts';
import { startDestination } from '../support/fake-destination.ts';
import { freePorts } from '../support/free-ports.ts';
import { oneSource } from '../support/pipeline.ts';
import { type Program, startProgram } from '../support/program.ts';
import { writeWorkspace } from '../support/workspace-file.ts';

const badConfiguration = 78;
const unavailable = 69;

function assertNothingRuns(program: Program): void {
  assert.equal(postmasterPid(program.dataDir), undefined, 'no PostgreSQL is left behind');
}

test('a bad configuration lists every fault at once and starts nothing', { timeout: 60_000 }, async (t) => {
  const folder = await temporaryFolder(t);
  const config = join(folder, 'sluice.yaml');
  writeFileSync(config, 'gateway:\n  port: eighty\n  speed: fast\nrouter:\n  slots: 0\n');
  const program = await startProgram(t, {
    env: { SLUICE_CONFIG: config, SLUICE_GATEWAY_PORT: 'eighty', SLUICE_HTTP_ENGINE: 'apache' },
  });
  assert.deepEqual(await program.waitForExit(), { code: badConfiguration, signal: null });
  for (const fault of [/gateway\.port/i, /gateway\.speed/, /router\.slots/, /http\.engine/i]) {
    assert.match(program.output, fault, 'every fault is listed');
  }
  assert.match(program.output, /expected/);
  assert.equal(existsSync(program.dataDir), false, 'not even the data folder is made');
});

test('a bad workspace file lists its faults and starts nothing', { timeout: 60_000 }, async (t) => {
  const workspaceFile = join(await temporaryFolder(t), 'workspaceConfig.json');
  writeFileSync(workspaceFile, '{"workspaceId":"ws","sources":[{"id":"a","writeKey":7},{"writeKey":"k"}]}');
  const program = await startProgram(t, { workspaceFile });
  assert.deepEqual(await program.waitForExit(), { code: badConfiguration, signal: null });
  assert.match(program.output, /sources\[0\]\.writeKey/);
  assert.match(program.output, /sources\[1\]\.id/);
  assertNothingRuns(program);
});

test('a missing workspace file is named', { timeout: 60_000 }, async (t) => {
  const workspaceFile = join(await temporaryFolder(t), 'nowhere.json');
  const program = await startProgram(t, { workspaceFile });
  const { code } = await program.waitForExit();
  assert.ok(code === badConfiguration || code === unavailable, `expected 78 or 69, got ${code}`);
  assert.match(program.output, /nowhere\.json/);
  assertNothingRuns(program);
});

for (const which of ['gateway', 'admin'] as const) {
  test(`a taken ${which} port is named, with the way to another one`, { timeout: 60_000 }, async (t) => {
    const [port = 0] = await freePorts(1);
    const holder = createServer().listen(port, '0.0.0.0');
    await once(holder, 'listening');
    t.after(() => holder.close());
    const destination = await startDestination(t);
    const workspaceFile = join(await temporaryFolder(t), 'workspaceConfig.json');
    writeWorkspace(workspaceFile, oneSource(destination));
    const ports = which === 'gateway' ? { gatewayPort: port } : { adminPort: port };
    const program = await startProgram(t, { workspaceFile, ...ports });
    assert.deepEqual(await program.waitForExit(), { code: unavailable, signal: null });
    assert.match(program.output, new RegExp(`\\b${port}\\b`), 'the port is named');
    assert.match(program.output, new RegExp(`SLUICE_${which.toUpperCase()}_PORT`), 'and how to choose another');
    assertNoStackTrace(program);
    assertNothingRuns(program);
  });
}

test('a data folder that cannot be made is named', { timeout: 60_000 }, async (t) => {
  const file = join(await temporaryFolder(t), 'occupied');
  writeFileSync(file, 'a file where a folder should be');
  const program = await startProgram(t, { dataDir: join(file, 'data') });
  assert.deepEqual(await program.waitForExit(), { code: unavailable, signal: null });
  assert.ok(program.output.includes(file), 'the folder is named');
  assert.match(program.output, /SLUICE_DATA_DIR/);
  assertNoStackTrace(program);
});

test('a data folder in use by another Sluice is named', { timeout: 120_000 }, async (t) => {
  const first = await (await startProgram(t)).waitReady();
  const [gatewayPort = 0, adminPort = 0, receiverPort = 0] = await freePorts(3);
  const second = first.again({ gatewayPort, adminPort, receiverPort });
  assert.deepEqual(await second.waitForExit(), { code: unavailable, signal: null });
  assert.ok(second.output.includes(first.dataDir));
  assert.ok(second.output.includes(String(first.pid)), 'the other process is named');
  assert.equal((await fetch(`${first.adminUrl}/readyz`)).status, 200, 'the first one is not disturbed');
});

test('an unreachable PostgreSQL is named without its password', { timeout: 60_000 }, async (t) => {
  const [port = 0] = await freePorts(1);
  const program = await startProgram(t, {
    env: { SLUICE_POSTGRES_URL: `postgres://somebody:opensesame@127.0.0.1:${port}/events` },
  });
  assert.deepEqual(await program.waitForExit(), { code: unavailable, signal: null });
  assert.match(program.output, new RegExp(`127\\.0\\.0\\.1:${port}`));
  assert.match(program.output, /SLUICE_POSTGRES_URL/);
  assert.doesNotMatch(program.output, /opensesame/);
  assertNoStackTrace(program);
});

function assertNoStackTrace(program: Program): void {
  assert.doesNotMatch(program.output, /^\s+at .+:\d+:\d+\)?$/m, 'one clear sentence instead of a stack trace');
}
