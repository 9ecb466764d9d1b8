// Who may send: a tenant with too much backlog is refused alone, what concerns everybody refuses everybody.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { settingsSchema } from '../../actors/config.ts';
import { closedReason, IntakeWatch, refusedWorkspaces } from '../../actors/intake-watch.ts';
import { WorkspaceHolder } from '../../actors/services/workspace.ts';
import type { StoragePressure } from '../../actors/storage/contract.ts';
import { createPartition, endJob } from '../../actors/storage/partition.ts';
import { measurePressure } from '../../actors/storage/pressure.ts';
import { createMetrics, loadConfig } from '../../runtime/index.ts';
import { VirtualClock } from '../../runtime/virtual-seams.ts';

const pressure = (bytes: Record<string, number>): StoragePressure => ({
  queues: [{ queue: 'rt', bytes: Object.values(bytes).reduce((sum, one) => sum + one, 0) }],
  workspaces: Object.entries(bytes)
    .map(([workspaceId, one]) => ({ workspaceId, bytes: one }))
    .sort((a, b) => b.bytes - a.bytes),
  diskFull: false,
  isAway: false,
});

test('a queue at its limit and a server without room close the intake', () => {
  assert.equal(closedReason(pressure({ a: 9 }), 10), '');
  assert.match(closedReason(pressure({ a: 9, b: 1 }), 10), /queue rt/);
  assert.equal(closedReason(pressure({ a: 10 }), 0), '', '0 is no limit');
  assert.match(closedReason({ ...pressure({}), diskFull: true }, 0), /disk of PostgreSQL/);
  assert.equal(closedReason({ ...pressure({}), isAway: true }, 0), 'PostgreSQL is away');
});

test('a workspace at its quota is refused; while space is tight so are those that hold half of what waits', () => {
  const some = pressure({ a: 50, b: 30, c: 20 });
  assert.deepEqual([...refusedWorkspaces(some, 30, false)], ['a', 'b']);
  assert.deepEqual([...refusedWorkspaces(some, 0, false)], []);
  assert.deepEqual([...refusedWorkspaces(some, 0, true)], ['a']);
  assert.deepEqual([...refusedWorkspaces(pressure({ a: 40, b: 35, c: 25 }), 0, true)], ['a', 'b']);
  assert.deepEqual([...refusedWorkspaces(pressure({}), 0, true)], [], 'nobody here is the cause');
});

test('what storage says counts until it says something else, and the disk counts at once', async () => {
  let answer: StoragePressure | Error = pressure({ a: 10 });
  let databaseUp = true;
  const disk = { level: 'plenty' as 'plenty' | 'refuse', freeBytes: 1, ballastBytes: 0 };
  const watch = new IntakeWatch({
    databaseUp: () => databaseUp,
    settings: { queueBytesMax: 0, workspaceBytesMax: 10 },
    disk,
    pressure: async () => {
      if (answer instanceof Error) throw answer;
      return answer;
    },
    metrics: createMetrics(),
    clock: new VirtualClock(),
    log: { warn: () => undefined, info: () => undefined },
  });
  await watch.start();
  assert.deepEqual([watch.isFull('a'), watch.isFull('b'), watch.closedReason], [true, false, '']);
  answer = new Error('storage restarts');
  await watch.start();
  assert.equal(watch.isFull('a'), true);
  disk.level = 'refuse';
  assert.match(watch.closedReason, /disk is nearly full/);
  assert.equal(watch.alarms().length, 3);
  disk.level = 'plenty';
  answer = pressure({ a: 9 });
  await watch.start();
  assert.deepEqual([watch.isFull('a'), watch.closedReason, watch.status().state], [false, '', 'open']);
  // A lane that was taken over has lost its connection as well, and stores by way of its new owner in a moment.
  answer = { ...pressure({}), isAway: true };
  await watch.start();
  assert.equal(watch.closedReason, '');
  databaseUp = false;
  await watch.start();
  assert.equal(watch.closedReason, 'PostgreSQL is away');
});

test('bytes are counted by queue and by the workspace that a partition belongs to, shards and all', () => {
  const source = { id: 's1', workspaceId: 'w1', writeKey: 'k', destinations: [{ id: 'd1', workspaceId: 'w1' }] };
  const snapshot = { version: 1, hash: '', loadedAtMs: 0, sources: [source] };
  const workspace = new WorkspaceHolder();
  workspace.publish(JSON.parse(JSON.stringify(snapshot)));
  const config = loadConfig(settingsSchema, { environment: {}, flags: [] });
  assert.ok(config.ok);
  const partition = (queue: 'gw' | 'rt', key: string, pendingBytes: number) =>
    Object.assign(createPartition(queue, key, 0), { pending: 1, pendingBytes });
  const partitions = [partition('gw', 's1#0', 10), partition('rt', 'd1', 20), partition('rt', '', 5)];
  assert.deepEqual(
    measurePressure([...partitions, partition('gw', 'w1', 1)], { workspace, settings: config.settings }),
    {
      queues: [
        { queue: 'gw', bytes: 11 },
        { queue: 'rt', bytes: 25 },
      ],
      workspaces: [{ workspaceId: 'w1', bytes: 31 }],
    },
  );
});

test('a partition whose jobs have all ended holds nothing, whatever their sizes were', () => {
  const partition = Object.assign(createPartition('gw', 's', 0), { pending: 3, pendingBytes: 1_000_000.1 });
  for (let job = 0; job < 3; job += 1) endJob(partition);
  assert.deepEqual([partition.pending, partition.pendingBytes], [0, 0]);
});
