// Log lines: their fields, their levels, and what never gets into one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog } from '../../actors/log.ts';

function setup(level: 'debug' | 'info' | 'warn' | 'error' = 'info', format: 'auto' | 'json' | 'pretty' = 'json') {
  const lines: string[] = [];
  const log = createLog({ level, format }, 'actors-1', { write: (line) => lines.push(line) });
  return { log, lines };
}

test('writes one JSON line with time, level, thread, fields and text', () => {
  const { log, lines } = setup();
  log.warn({ destinationId: 'dst-1' }, 'retries later');
  const { time, ...rest } = JSON.parse(lines[0] ?? '');
  assert.deepEqual(rest, { level: 'warn', thread: 'actors-1', destinationId: 'dst-1', text: 'retries later' });
  assert.ok(!Number.isNaN(Date.parse(time)));
});

test('names the thread a line comes from once, also when main writes it for another one', () => {
  const { log, lines } = setup();
  log.info({ thread: 'storage-2' }, 'x');
  assert.equal(lines[0]?.match(/"thread":/g)?.length, 1);
  assert.equal(JSON.parse(lines[0] ?? '').thread, 'storage-2');
});

test('leaves out what is below its level', () => {
  const { log, lines } = setup('warn');
  log.debug({}, 'no');
  log.info({}, 'no');
  log.error({}, 'yes');
  assert.equal(lines.length, 1);
});

test('hides secrets and event bodies by field name', () => {
  const { log, lines } = setup();
  log.info(
    {
      writeKey: 'hunter2',
      source: { writeKey: 'hunter2' },
      request: { authorization: 'hunter2', body: 'hunter2' },
      payload: 'hunter2',
    },
    'x',
  );
  assert.doesNotMatch(lines.join(), /hunter2/);
});

test('keeps code, message, stack and cause of an error, and nothing a driver hung on it', () => {
  const { log, lines } = setup();
  const error = Object.assign(new Error('duplicate key', { cause: new Error('below') }), {
    code: '23505',
    detail: 'Key (email)=(a@b.c)',
  });
  log.error({ error }, 'commit failed');
  const line = JSON.parse(lines[0] ?? '');
  assert.equal(line.error.code, '23505');
  assert.equal(line.error.message, 'duplicate key');
  assert.equal(line.error.cause.message, 'below');
  assert.match(line.error.stack, /log\.test/);
  assert.doesNotMatch(lines.join(), /a@b\.c/);
});

test('writes a readable line when asked to be pretty', () => {
  const { log, lines } = setup('info', 'pretty');
  log.info({ port: 8080 }, 'listening');
  assert.match(lines[0] ?? '', /^\[\d\d:\d\d:\d\d\.\d+\] INFO: actors-1: listening\n {4}port: 8080\n$/);
});
