// What stops a start before anything runs: settings, folder, ports. With real files, ports and the built program.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { readSettings } from '../../actors/config-file.ts';
import { formatStartProblems, runStartChecks } from '../../actors/start-checks.ts';
import { programPath } from '../support/repository.ts';

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'sluice-start-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

async function takenPort(t: TestContext): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

function settingsFor(root: string, ...flags: string[]) {
  const free = ['--gateway.port=0', '--admin.port=0', '--starter.receiverPort=0', `--data.dir=${join(root, 'data')}`];
  const result = readSettings({ configPath: undefined, environment: {}, flags: [...free, ...flags], folder: root });
  assert.ok(result.ok);
  return result.settings;
}

interface Run {
  code: number | null;
  out: string;
  problem: string;
}

async function run(root: string, parameters: string[], environment: Record<string, string> = {}): Promise<Run> {
  const child = spawn(process.execPath, [programPath(), ...parameters], {
    cwd: root,
    env: { PATH: process.env.PATH, ...environment },
  });
  const result: Run = { code: null, out: '', problem: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    result.out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    result.problem += text;
  });
  [result.code] = await once(child, 'close');
  return result;
}

test('finds all well on a fresh folder with free ports, and leaves nothing behind', async (t) => {
  const root = await folder(t);
  const checks = await runStartChecks(settingsFor(root));
  assert.equal(formatStartProblems(checks), undefined);
  assert.equal(checks.length, 5);
  assert.deepEqual(await readdir(join(root, 'data')), []);
});

test('names every taken port and the setting that moves it', async (t) => {
  const root = await folder(t);
  const [gateway, receiver] = [await takenPort(t), await takenPort(t)];
  const flags = ['--gateway.host=127.0.0.1', `--gateway.port=${gateway}`, `--starter.receiverPort=${receiver}`];
  const problems = formatStartProblems(await runStartChecks(settingsFor(root, ...flags))) ?? '';
  assert.match(
    problems,
    new RegExp(
      `The gateway address 127.0.0.1:${gateway} is in use by another program. Stop that program, or set gateway.port`,
    ),
  );
  assert.match(problems, /starter receiver address .*SLUICE_STARTER_RECEIVER_PORT/);
  assert.equal(problems.trim().split('\n').length, 3);
});

test('names a data folder that is a file, and a host this machine does not have', async (t) => {
  const root = await folder(t);
  await writeFile(join(root, 'data'), '');
  const checks = await runStartChecks(settingsFor(root, '--gateway.host=192.0.2.1', '--gateway.port=4711'));
  const problems = formatStartProblems(checks) ?? '';
  assert.match(problems, /The data folder .*data cannot be written \(EEXIST\)\. A file is in the way/);
  assert.match(problems, /192\.0\.2\.1:4711 is no address of this machine/);
});

test('reads the file of --config before SLUICE_CONFIG before ./sluice.yaml, and faults a named one that is missing', async (t) => {
  const root = await folder(t);
  const portWith = (configPath: string | undefined, environment: Record<string, string>): number => {
    const result = readSettings({ configPath, environment, flags: [], folder: root });
    assert.ok(result.ok);
    return result.settings.gateway.port;
  };
  assert.equal(portWith(undefined, {}), 8080);
  for (const [name, port] of [
    ['sluice.yaml', 1],
    ['env.yaml', 2],
    ['flag.yaml', 3],
  ]) {
    await writeFile(join(root, `${name}`), `gateway: {port: ${port}}\n`);
  }
  assert.equal(portWith(undefined, {}), 1);
  assert.equal(portWith(undefined, { SLUICE_CONFIG: 'env.yaml' }), 2);
  assert.equal(portWith('flag.yaml', { SLUICE_CONFIG: 'env.yaml' }), 3);
  const missing = readSettings({
    configPath: 'none.yaml',
    environment: { SLUICE_GATEWAY_PORT: 'x' },
    flags: [],
    folder: root,
  });
  assert.ok(!missing.ok);
  assert.deepEqual(
    missing.faults.map(({ source, got }) => [source, got]),
    [
      ['flag --config', 'ENOENT'],
      ['environment SLUICE_GATEWAY_PORT', '"x"'],
    ],
  );
});

test('the program lists all faults and exits with 78, having started nothing', async (t) => {
  const root = await folder(t);
  await writeFile(join(root, 'sluice.yaml'), 'gateway:\n  prot: 1\n  port: many\n');
  const { code, out, problem } = await run(root, ['start', '--log.level=loud'], { SLUICE_ADMIN_PORT: '70000' });
  assert.equal(code, 78);
  assert.equal(out, '');
  for (const fault of [
    /gateway\.prot: .*line 2.*Did you mean gateway\.port/,
    /gateway\.port: .*"many" \(sluice\.yaml line 3/,
    /log\.level/,
    /admin\.port/,
  ]) {
    assert.match(problem, fault);
  }
  assert.deepEqual(await readdir(root), ['sluice.yaml']);
});

test('the program exits with 69 when a port is taken', async (t) => {
  const root = await folder(t);
  const port = await takenPort(t);
  const flags = [`--gateway.host=127.0.0.1`, `--gateway.port=${port}`, '--admin.port=0', '--starter.receiverPort=0'];
  const { code, problem } = await run(root, ['start', ...flags]);
  assert.equal(code, 69, problem);
  assert.match(problem, /is in use by another program\. Stop that program, or set gateway\.port/);
});

test('the program checks settings and workspace without starting, and tells its usage', async (t) => {
  const root = await folder(t);
  const good = await run(root, ['check-config', '--gateway.port=0']);
  assert.deepEqual([good.code, good.problem], [0, '']);
  assert.match(good.out, /gateway\.port \(flag --gateway\.port\)[\s\S]*The configuration is good/);
  await writeFile(join(root, 'workspace.yaml'), 'workspaceId: w\nsources: [{id: a}]\n');
  const bad = await run(root, ['check-config'], { SLUICE_WORKSPACE_FILE: 'workspace.yaml' });
  assert.equal(bad.code, 78);
  assert.match(bad.problem, /sources\[0\]\.writeKey: expected a text, got nothing/);
  const broken = `{id: d1, name: d, enabled: true, config: {}, destinationDefinition: {name: KAFKAESQUE}}`;
  await writeFile(
    join(root, 'workspace.yaml'),
    `workspaceId: w\nsources: [{id: a, name: a, writeKey: k, sourceDefinition: {name: HTTP}, destinations: [${broken}]}]\n`,
  );
  const warned = await run(root, ['check-config'], { SLUICE_WORKSPACE_FILE: 'workspace.yaml' });
  assert.deepEqual([warned.code, warned.problem], [0, '']);
  assert.match(
    warned.out,
    /Warning: every event for destination d1 .* KAFKAESQUE is not known; supported are WEBHOOK, HTTP/,
  );
  assert.equal((await run(root, ['bogus'])).code, 64);
  assert.match((await run(root, ['--version'])).out, /^\d+\.\d+\.\d+\n$/);
});
