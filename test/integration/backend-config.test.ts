// The workspace file on a real file system: replacement, writing in place, symbolic links as Kubernetes swaps them, and
// bad versions. Waits are on published snapshots and log lines, never on time.

import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openWorkspaceFile, WorkspaceFileError } from '../../actors/services/backend-config.ts';
import type { WorkspaceSnapshot } from '../../actors/services/workspace.ts';
import { realSeams } from '../../runtime/index.ts';

function content(...writeKeys: string[]): string {
  const sources = writeKeys.map((writeKey) => ({
    id: `src-${writeKey}`,
    writeKey,
    sourceDefinition: { name: 'HTTP' },
  }));
  return JSON.stringify({ workspaceId: 'ws', sources });
}

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'sluice-workspace-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

async function setup(t: TestContext, path: string) {
  const events = new EventEmitter();
  const snapshots: WorkspaceSnapshot[] = [];
  const lines: string[] = [];
  const line = (level: string) => (fields: Record<string, unknown>, text: string) => {
    lines.push(`${level}: ${text} ${fields.faults ?? ''}`);
    events.emit('line');
  };
  const log = { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
  const onSnapshot = (snapshot: WorkspaceSnapshot): void => {
    snapshots.push(snapshot);
    events.emit('snapshot');
  };
  const file = await openWorkspaceFile({ path, environment: {}, log, clock: realSeams().clock, onSnapshot });
  t.after(() => file.close());
  // The watch and the timers keep no process alive; in the program the listening servers do.
  const keepAlive = createServer().listen(0, '127.0.0.1');
  t.after(() => keepAlive.close());
  const refusals = (): string[] => lines.filter((text) => text.startsWith('error'));
  const until = async (event: string, reached: () => boolean): Promise<void> => {
    while (!reached()) await once(events, event);
  };
  return {
    file,
    snapshots,
    refusals,
    untilVersion: (version: number) => until('snapshot', () => snapshots.at(-1)?.version === version),
    untilRefused: (count: number) => until('line', () => refusals().length === count),
  };
}

async function replace(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}

test('publishes the first version at once and each replacement of the file', async (t) => {
  const path = join(await folder(t), 'workspace.json');
  await writeFile(path, content('a'));
  const { file, snapshots, untilVersion } = await setup(t, path);
  assert.equal(snapshots.length, 1);
  await replace(path, content('a', 'b'));
  await untilVersion(2);
  await replace(path, content('c'));
  await untilVersion(3);
  assert.deepEqual(
    snapshots.map((snapshot) => snapshot.sources.map((source) => source.writeKey)),
    [['a'], ['a', 'b'], ['c']],
  );
  assert.equal(file.current, snapshots[2]);
  assert.notEqual(snapshots[1]?.hash, snapshots[2]?.hash);
});

test('follows a file written in place, and one swapped behind a symbolic link', async (t) => {
  const root = await folder(t);
  const path = join(root, 'workspace.json');
  await writeFile(join(root, 'v1'), content('a'));
  await writeFile(join(root, 'v2'), content('b'));
  await symlink('v1', join(root, '..data'));
  await symlink('..data', path);
  const { untilVersion } = await setup(t, path);
  await symlink('v2', join(root, '..data_new'));
  await rename(join(root, '..data_new'), join(root, '..data'));
  await untilVersion(2);
  await writeFile(join(root, 'v2'), content('c'));
  await untilVersion(3);
});

test('refuses a bad version whole, says so once, and keeps the last good one', async (t) => {
  const path = join(await folder(t), 'workspace.json');
  await writeFile(path, content('a'));
  const { file, snapshots, refusals, untilRefused, untilVersion } = await setup(t, path);
  await replace(path, content('a', 'a'));
  await untilRefused(1);
  assert.equal(file.current.version, 1);
  assert.match(
    refusals()[0] ?? '',
    /2 faults: sources\[1\]\.id: expected an id of its own.*; sources\[1\]\.writeKey: expected/,
  );
  assert.match(file.status().lastError?.text ?? '', /2 faults/);
  assert.equal(await file.reload(), 'refused');
  assert.equal(refusals().length, 1);
  await rm(path);
  await untilRefused(2);
  assert.match(file.status().lastError?.text ?? '', /cannot be read \(ENOENT\)/);
  await replace(path, content('b'));
  await untilVersion(2);
  assert.equal(file.status().lastError, undefined);
  assert.equal(snapshots.length, 2);
});

test('publishes nothing when the content is unchanged', async (t) => {
  const path = join(await folder(t), 'workspace.json');
  await writeFile(path, content('a'));
  const { file, snapshots } = await setup(t, path);
  await replace(path, content('a'));
  assert.equal(await file.reload(), 'unchanged');
  assert.equal(snapshots.length, 1);
  assert.deepEqual(
    { ...file.status(), loadedAtMs: 0, hash: '' },
    { path, version: 1, hash: '', loadedAtMs: 0, sources: 1, destinations: 0 },
  );
});

test('orders concurrent reloads and answers each', async (t) => {
  const path = join(await folder(t), 'workspace.json');
  await writeFile(path, content('a'));
  const { file } = await setup(t, path);
  await replace(path, content('b'));
  assert.deepEqual(await Promise.all([file.reload(), file.reload(), file.reload()]), [
    'published',
    'unchanged',
    'unchanged',
  ]);
});

test('does not open a file that is missing or bad, and tells why', async (t) => {
  const path = join(await folder(t), 'workspace.json');
  const refusedWith = (code: string, faults: number) => (error: unknown) =>
    error instanceof WorkspaceFileError && error.code === code && error.faults.length === faults;
  await assert.rejects(setup(t, path), refusedWith('WORKSPACE_UNREADABLE', 1));
  await writeFile(path, '{"sources": [{}]}');
  await assert.rejects(setup(t, path), refusedWith('WORKSPACE_INVALID', 3));
});
