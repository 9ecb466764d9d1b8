// The first request to stop drains, the second one cuts short, and one key press is one request.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StopRequests } from '../../actors/stop-requests.ts';

function setup() {
  const clock = { nowMs: 0 };
  const stop = new StopRequests(() => clock.nowMs);
  const seen: string[] = [];
  void stop.first.then((reason) => seen.push(reason ?? 'drain'));
  void stop.second.then(() => seen.push('cut short'));
  /** Promises settle in the turns between two looks. */
  const look = async () => {
    await new Promise<void>((resolve) => void setImmediate(resolve));
    return seen;
  };
  return { clock, stop, look };
}

test('drains at the first SIGTERM and cuts short at the second, however soon it comes', async () => {
  const { stop, look } = setup();
  stop.signal('SIGTERM');
  assert.deepEqual(await look(), ['drain']);
  stop.signal('SIGTERM');
  assert.deepEqual(await look(), ['drain', 'cut short']);
});

test('takes the Ctrl-C that npm passes on for the one that the terminal sent', async () => {
  const { clock, stop, look } = setup();
  stop.signal('SIGINT');
  clock.nowMs += 5;
  stop.signal('SIGINT');
  assert.deepEqual(await look(), ['drain']);
  clock.nowMs += 1_000;
  stop.signal('SIGINT');
  assert.deepEqual(await look(), ['drain', 'cut short']);
});

test('a signal of the other kind is a request of its own', async () => {
  const { stop, look } = setup();
  stop.signal('SIGINT');
  stop.signal('SIGTERM');
  assert.deepEqual(await look(), ['drain', 'cut short']);
});

test('a failure drains too, and tells its reason', async () => {
  const { stop, look } = setup();
  stop.fail('the actor thread is gone');
  stop.signal('SIGTERM');
  assert.deepEqual(await look(), ['the actor thread is gone']);
});
