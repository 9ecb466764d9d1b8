// Watching a source: what is shown, what is dropped, and that nobody who watches slowly is waited for.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventRing, LiveEvents, LiveStreams, StreamWatcher } from '../../../actors/gateway/live-events.ts';
import { LiveUpload } from '../../../actors/gateway/live-upload.ts';
import type { ServiceCall } from '../../../actors/services/service-client.ts';
import { WorkspaceHolder } from '../../../actors/services/workspace.ts';
import { realTurn } from '../../../runtime/seams.ts';
import { VirtualClock } from '../../../runtime/virtual-seams.ts';
import { makeSnapshot, makeSource } from '../../support/workspace-objects.ts';

const event = (payload: string) => ({ receivedAtMs: 1, payload });

test('nobody may watch a transient source', () => {
  const source = { ...makeSource('s1', []), transient: true as const };
  const clock = new VirtualClock();
  const live = new LiveEvents(clock);
  const route = new LiveStreams({ live, clock, sourceByWriteKey: () => source }).route();
  const request = {
    params: {},
    query: new URLSearchParams('writeKey=wk-s1'),
    json: async () => undefined,
    body: async () => Buffer.alloc(0),
  };
  assert.throws(() => route.handle(request), { status: 403 });
  assert.equal(live.wanted('s1'), 0);
});

test('a ring keeps the newest and counts what it dropped', () => {
  const ring = new EventRing(3);
  for (const payload of ['1', '2', '3', '4', '5']) ring.push(event(payload));
  const taken = ring.take(2);
  assert.deepEqual([taken.events.map(({ payload }) => payload), taken.dropped], [['3', '4'], 2]);
  assert.deepEqual(ring.take(2), { events: [event('5')], dropped: 0 });
});

test('nothing is sampled while nobody watches, and a bounded part of a flood', () => {
  const clock = new VirtualClock();
  const live = new LiveEvents(clock);
  assert.equal(live.wanted('s1'), 0);
  const watcher = { ring: new EventRing(10), wake: () => {} };
  live.watch('s1', watcher);
  assert.equal(live.wanted('s2'), 0);
  const flood = () => Array.from({ length: 1_000 }, () => live.wanted('s1')).reduce((sum, one) => sum + one, 0);
  assert.equal(flood(), 100);
  clock.spend(1_000);
  assert.equal(flood(), 100);
  live.unwatch('s1', watcher);
  assert.equal(live.wanted('s1'), 0);
});

test('a reader that does not keep up loses the oldest events and is told how many', () => {
  const written: string[] = [];
  let hasRoom = false;
  const write = (text: string) => {
    written.push(text);
    return hasRoom;
  };
  const watcher = new StreamWatcher(write, new VirtualClock());
  const offer = (payload: string) => {
    watcher.ring.push(event(payload));
    watcher.wake();
  };
  for (let index = 0; index < 300; index += 1) offer(`{\n"n":${index}}`);
  assert.deepEqual(written, ['id: 1\ndata: { "n":0}\n\n']);
  hasRoom = true;
  watcher.drained();
  const rest = written.slice(1).join('');
  assert.match(rest, /^event: dropped\ndata: 43\n\nid: 1\ndata: \{ "n":44\}\n/);
  assert.equal(rest.match(/^id:/gm)?.length, 256);
  watcher.close();
});

test('the control plane gets the sources that ask for it, in batches, and is given up after three tries', async () => {
  const clock = new VirtualClock();
  const live = new LiveEvents(clock);
  const workspace = new WorkspaceHolder();
  const shown = { ...makeSource('shown', []), config: { eventUpload: true } };
  workspace.publish(makeSnapshot([shown, makeSource('hidden', [])]));
  const calls: ServiceCall[] = [];
  const warnings: string[] = [];
  let status = 200;
  const client = {
    call: async (call: ServiceCall) => {
      calls.push(call);
      return { status, header: () => '', body: Buffer.alloc(0) };
    },
  };
  const log = { warn: (_fields: object, text: string) => warnings.push(text) };
  const upload = new LiveUpload({ live, workspace, client, url: 'http://plane/', token: 'tok', clock, log });
  const flush = async () => {
    clock.fireNext();
    await realTurn();
  };
  await flush();
  assert.equal(live.wanted('hidden'), 0);
  for (let index = 0; index < 40; index += 1) live.offer('shown', 1_000, [`{"type":"track","event":"E","n":${index}}`]);
  await flush();
  assert.equal(calls[0]?.url.href, 'http://plane/dataplane/v2/eventUploads');
  const body = JSON.parse(Buffer.from(calls[0]?.body ?? []).toString());
  assert.deepEqual([body.version, body['wk-shown'].length], ['v2', 32]);
  assert.deepEqual(body['wk-shown'][0], {
    payload: { type: 'track', event: 'E', n: 0 },
    receivedAt: '1970-01-01T00:00:01.000Z',
    eventName: 'E',
    eventType: 'track',
    errorResponse: {},
    errorCode: 200,
  });
  status = 500;
  await flush();
  await flush();
  await flush();
  assert.deepEqual([calls.length, warnings.length], [4, 1]);
  await upload.close();
});
