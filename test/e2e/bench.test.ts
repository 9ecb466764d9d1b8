// The benchmark as it is called: a tiny run of the whole program from the command line to the page of results. Its
// figures mean nothing; its checks do, and that it can be run at all.

import { strict as assert } from 'node:assert';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { temporaryFolder } from '../support/cleanup.ts';

const run = promisify(execFile);
const benchPath = fileURLToPath(new URL('../../bench/main.js', import.meta.url));

test('a benchmark measures the program, checks it and becomes a page of results', async (t) => {
  const folder = await temporaryFolder(t);
  const page = join(folder, 'RESULTS.md');
  const bench = (...parameters: string[]) => run(process.execPath, [benchPath, ...parameters]);
  const { stdout } = await bench('backlog', '--rounds=1', '--jobs=200', '--json', join(folder, 'backlog.json'));
  assert.match(stdout, /ledger balances: ok/);
  assert.match(stdout, /order per user, no duplicates: ok/);
  assert.match(stdout, /every accepted event arrived once: ok/);
  await bench('results', folder, '--output', page);
  const text = readFileSync(page, 'utf8');
  assert.match(text, /## backlog/);
  assert.match(text, /\| 200 events that waited \| product \| [1-9]/);
  await assert.rejects(bench('backlog', '--jbos=1'), (error: { code?: number; stderr?: string }) => {
    assert.equal(error.code, 64);
    assert.match(error.stderr ?? '', /scenario backlog has no option --jbos; it has --rounds, --jobs, --connections/);
    return true;
  });
});
