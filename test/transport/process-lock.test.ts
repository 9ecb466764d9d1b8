// The lock by which one process at a time uses a folder.

import { strict as assert } from 'node:assert';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { holderOf, isAlive, tryLock } from '../../transport/process-lock.ts';
import { temporaryFolder } from '../support/database.ts';

/** Larger than any process id. */
const nobodysPid = 4_194_400;

test('gives the lock to one taker at a time and leaves nothing behind', () => {
  const folder = temporaryFolder();
  const path = join(folder, 'lock');
  const first = tryLock(path);
  assert.ok(first !== undefined);
  assert.equal(holderOf(path), process.pid);
  assert.equal(tryLock(path), undefined);
  first.release();
  assert.equal(holderOf(path), undefined);
  const second = tryLock(path);
  assert.ok(second !== undefined);
  first.release();
  assert.equal(holderOf(path), process.pid, 'expected a second release to be harmless');
  second.release();
  assert.deepEqual(readdirSync(folder), []);
});

test('takes over from a process that is gone', () => {
  const path = join(temporaryFolder(), 'lock');
  writeFileSync(path, `${nobodysPid} 1 boot\n`);
  assert.equal(holderOf(path), undefined);
  assert.ok(tryLock(path) !== undefined);
});

test('takes over when the process id belongs to another process now', () => {
  const path = join(temporaryFolder(), 'lock');
  // Where the system tells no start time, only the boot differs, and the process id alone would count.
  if (!existsSync('/proc/self/stat')) return;
  writeFileSync(path, `${process.ppid} 1 another-boot\n`);
  assert.ok(isAlive(process.ppid));
  assert.equal(holderOf(path), undefined);
  assert.ok(tryLock(path) !== undefined);
  assert.match(readFileSync(path, 'utf8'), new RegExp(`^${process.pid} `));
});

test('takes over its own process id of an earlier life', () => {
  const path = join(temporaryFolder(), 'lock');
  const lock = tryLock(path);
  assert.ok(lock !== undefined);
  const content = readFileSync(path, 'utf8');
  lock.release();
  writeFileSync(path, content);
  assert.ok(tryLock(path) !== undefined);
});

test('treats an empty or damaged lock as nobody’s', () => {
  for (const content of ['', 'x', '0 0 0\n', '-1\n']) {
    const path = join(temporaryFolder(), 'lock');
    writeFileSync(path, content);
    assert.ok(tryLock(path) !== undefined, `expected to take over from ${JSON.stringify(content)}`);
  }
});
