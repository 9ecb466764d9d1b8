// What the status page remembers of the log: warnings and errors, the newest first, a repeated one once.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LastErrors } from '../../actors/status.ts';

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

test('keeps warnings and errors with the thread they come from, the newest first', () => {
  const errors = new LastErrors();
  let nowMs = 0;
  const log = errors.watch(silent, 'main', () => (nowMs += 1));
  log.info({}, 'all is well');
  log.warn({}, 'a dead letter');
  log.error({ thread: 'storage-2' }, 'a failed commit');
  assert.deepEqual(errors.all, [
    { atMs: 2, where: 'storage-2', text: 'a failed commit' },
    { atMs: 1, where: 'main', text: 'a dead letter' },
  ]);
});

test('a line that repeats stands there once, with its last time', () => {
  const errors = new LastErrors();
  let nowMs = 0;
  const log = errors.watch(silent, 'main', () => (nowMs += 1));
  log.error({}, 'refused the workspace file');
  for (let line = 0; line < 100; line += 1) log.warn({ thread: 'storage-2' }, 'Postgres is away');
  assert.deepEqual(errors.all, [
    { atMs: 101, where: 'storage-2', text: 'Postgres is away' },
    { atMs: 1, where: 'main', text: 'refused the workspace file' },
  ]);
});
