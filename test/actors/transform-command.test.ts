// The command transform test: what a customer sees of code that passes events on, drops them, fails, or cannot be run.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type CommandLine, parseCommandLine } from '../../actors/cli.ts';
import { settingsSchema } from '../../actors/config.ts';
import { runTransformCommand } from '../../actors/transform-command.ts';
import { loadConfig, realSeams } from '../../runtime/index.ts';
import { temporaryFolder } from '../support/cleanup.ts';

const loaded = loadConfig(settingsSchema, { environment: {}, flags: [] });
assert(loaded.ok);
const { settings } = loaded;
const { clock } = realSeams();

async function run(t: TestContext, files: Record<string, string>, ...options: string[]) {
  const folder = await temporaryFolder(t);
  mkdirSync(join(folder, 'libraries'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const given = options.map((option) => option.replace('@', folder));
  const parsed: CommandLine = parseCommandLine(
    ['transform', 'test', join(folder, 'code.js'), '--event', join(folder, 'event.json'), ...given],
    0,
  );
  assert(parsed.command === 'transform', JSON.stringify(parsed));
  return runTransformCommand({ ...parsed, settings, clock });
}

const code = `
  import { double } from 'maths';
  export async function transformEvent(event, metadata) {
    log('saw', event.event);
    if (event.event === 'ping') return null;
    if (event.event === 'bad') throw new Error('no such event');
    return { ...event, n: double(21), key: getCredential('key'), from: metadata(event).sourceId };
  }`;

test('shows for each event what came of it, what it logged and what it took', async (t) => {
  const { exitCode, out, problem } = await run(
    t,
    {
      'code.js': code,
      'event.json': '[{"event":"Paid","messageId":"m"},{"event":"ping"},{"event":"bad"}]',
      'libraries/maths.js': 'export const double = (n) => n * 2;',
      'credentials.json': '{"key":"s3cret"}',
    },
    '--libraries=@/libraries',
    '--credentials=@/credentials.json',
  );
  assert.deepEqual([exitCode, problem], [1, '']);
  assert.match(out, /^event 1: passed on \([\d.]+ ms\)\n {2}log: saw Paid\n\{\n {2}"messageId": "m",/);
  assert.match(out, /"n": 42,\n {2}"key": "s3cret",\n {2}"from": "test"\n\}/);
  assert.match(out, /event 2: filtered \([\d.]+ ms\)\n {2}log: saw ping\n/);
  assert.match(out, /event 3: failed: Error: no such event\n\s+at transformEvent \(code\.js:6/);
});

test('prints JSON for scripts, and takes batches', async (t) => {
  const { exitCode, out } = await run(
    t,
    {
      'code.js': 'export const transformBatch = (events) => events.filter((event) => event.keep);',
      'event.json': '[{"keep":true,"messageId":"a"},{"messageId":"b"}]',
    },
    '--json',
  );
  assert.equal(exitCode, 0);
  const shown = JSON.parse(out) as { outputs: unknown[] }[];
  assert.deepEqual(
    shown.map(({ outputs }) => outputs),
    [[{ messageId: 'a', keep: true }], []],
  );
});

test('says why code or events cannot be used', async (t) => {
  const bad = await run(t, { 'code.js': 'export function transformEvent( {', 'event.json': '{}' });
  assert.equal(bad.exitCode, 1);
  assert.match(bad.problem, /code\.js: the code does not load: SyntaxError/);
  const list = await run(t, { 'code.js': '', 'event.json': '[1]' });
  assert.deepEqual([list.exitCode, list.problem.endsWith('expected event 1 to be a JSON object\n')], [64, true]);
  const missing = await run(t, { 'event.json': '{}' });
  assert.match(missing.problem, /code\.js cannot be read \(ENOENT\)/);
  for (const wrong of [['transform'], ['transform', 'test'], ['transform', 'test', 'a.js']]) {
    assert.equal(parseCommandLine(wrong, 0).command, 'unusable', wrong.join(' '));
  }
});
