// Control calls to a real worker: every call settles, and errors keep their code.

import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { MessageChannel, Worker } from 'node:worker_threads';
import { ControlClient, TransportError, workerEntry } from '../../transport/index.ts';
import type { controlTestMethods } from './control-worker.ts';

const timeoutMs = 30_000;

function setup(t: TestContext) {
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker(workerEntry('./control-worker', import.meta.url), {
    workerData: { control: port2 },
    transferList: [port2],
  });
  const client = new ControlClient<typeof controlTestMethods>(port1);
  const exited = once(worker, 'exit');
  void exited.then(() => client.close('it ended'));
  t.after(async () => {
    client.close('the test ended');
    await worker.terminate();
  });
  return { client, exited };
}

test('a control call returns what the thread answers, at once or later', async (t) => {
  const { client } = setup(t);
  assert.equal(await client.call('add', [2, 3], { timeoutMs }), 5);
  assert.equal(await client.call('later', ['x'], { timeoutMs }), 'x');
});

test('an error keeps its code, message, data and whether to retry', async (t) => {
  const { client } = setup(t);
  await assert.rejects(client.call('refuse', [], { timeoutMs }), {
    constructor: TransportError,
    code: 'STORAGE_UNAVAILABLE',
    message: 'expected Postgres, got nothing',
    retryable: true,
    data: { host: 'db' },
  });
  await assert.rejects(client.call('rejectText', [], { timeoutMs }), { code: 'UNKNOWN', message: 'just text' });
});

test('a call without an answer rejects at its deadline, and the next one still works', async (t) => {
  const { client } = setup(t);
  await assert.rejects(client.call('hang', [], { timeoutMs: 1 }), { code: 'CONTROL_TIMEOUT', retryable: true });
  assert.equal(await client.call('add', [1, 1], { timeoutMs }), 2);
});

test('a deadline beyond what a timer can wait is far away, not at once', async (t) => {
  const { client } = setup(t);
  assert.equal(await client.call('add', [2, 3], { timeoutMs: 2 ** 40 }), 5);
});

test('calls reject with THREAD_LOST when the thread dies, pending and later ones', async (t) => {
  const { client, exited } = setup(t);
  const pending = client.call('hang', [], { timeoutMs });
  const killer = client.call('exit', [], { timeoutMs });
  await Promise.all([
    assert.rejects(pending, { code: 'THREAD_LOST' }),
    assert.rejects(killer, { code: 'THREAD_LOST' }),
    exited,
  ]);
  await assert.rejects(client.call('add', [1, 1], { timeoutMs }), { code: 'THREAD_LOST' });
});

test('arguments and results that cannot be cloned reject with NOT_SERIALIZABLE', async (t) => {
  const { client } = setup(t);
  const notCloneable = (() => 1) as never;
  await assert.rejects(client.call('later', [notCloneable], { timeoutMs }), { code: 'NOT_SERIALIZABLE' });
  await assert.rejects(client.call('giveFunction', [], { timeoutMs }), { code: 'NOT_SERIALIZABLE' });
});

test('an unknown method rejects with CONTROL_UNKNOWN', async (t) => {
  const { client } = setup(t);
  await assert.rejects(client.call('toString' as 'later', ['x'], { timeoutMs }), { code: 'CONTROL_UNKNOWN' });
});

test('ports inside the arguments change hands', async (t) => {
  const { client } = setup(t);
  const { port1, port2 } = new MessageChannel();
  const message = once(port1, 'message');
  await client.call('writeTo', [port2, 'hello'], { timeoutMs, transfer: [port2] });
  assert.deepEqual(await message, ['hello']);
  port1.close();
});
