// The debuggers: what is watched is seen, little of it and of nobody else; what is not taken is dropped, and nothing waits.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LiveTold, Watched } from '../../../actors/debugger/contract.ts';
import { DebugUpload } from '../../../actors/debugger/debug-upload.ts';
import { LiveHub } from '../../../actors/debugger/live-hub.ts';
import { DeliveryObservers, LiveTap } from '../../../actors/debugger/live-tap.ts';
import { EventRing, type Watcher } from '../../../actors/gateway/live-events.ts';
import type { DeliveredJob } from '../../../actors/reporting/contract.ts';
import type { ServiceCall } from '../../../actors/services/service-client.ts';
import { WorkspaceHolder } from '../../../actors/services/workspace.ts';
import { VirtualClock } from '../../../runtime/virtual-seams.ts';
import { silentLog } from '../../support/database.ts';
import { runObserved } from '../../support/observed-events.ts';
import { makeDestination, makeSnapshot, makeSource } from '../../support/workspace-objects.ts';

const code = { id: 't1', versionId: 'v', language: 'javascript', isDebugged: true as const };
const changed = { ...makeDestination('d1', { config: { eventDelivery: true } }), transformations: [code] };

function setup() {
  const workspace = new WorkspaceHolder();
  const hidden = { ...makeSource('hidden', []), transient: true as const };
  workspace.publish(makeSnapshot([makeSource('s1', [changed, makeDestination('d2')]), hidden]));
  const clock = new VirtualClock();
  const told: LiveTold[] = [];
  const tap = new LiveTap(workspace, () => clock.nowMs());
  tap.attach((one) => told.push(one) > 0);
  return { workspace, clock, told, tap };
}

function job(destinationId: string, sourceId = 's1'): DeliveredJob {
  return {
    parameters: { source_id: sourceId, destination_id: destinationId, workspace_id: 'w', event_name: 'Order' },
    destinationId,
    receivedAtMs: 0,
    payload: Buffer.from('{"n":9007199254740993}'),
    status: undefined,
  };
}

const nothing: Watched = { deliveries: [], transformations: [] };

test('attempts are sampled only of what is watched, at most so many a second, and never of transient sources', () => {
  const { tap, told, clock } = setup();
  const reports = { isWanted: false, observe: () => assert.fail('nobody wants reports') };
  const observers = new DeliveryObservers(reports, tap);
  assert.equal(observers.isWanted, false);
  tap.watch({ ...nothing, deliveries: ['d1'] });
  assert.equal(observers.isWanted, true);
  const jobs = Array.from({ length: 80 }, () => job('d1'));
  observers.observe([job('d2'), job('d1', 'hidden'), ...jobs]);
  assert.equal(told.flatMap(({ samples }) => samples).length, 50);
  clock.spend(1_000);
  observers.observe(jobs);
  const samples = told.flatMap((one) => one.samples);
  assert.equal(samples.length, 100);
  assert.ok(samples[0]?.payload.includes('"payload":{"n":9007199254740993}'));
  const { destinationId, sourceId, jobState, errorCode, attemptNum } = JSON.parse(samples[0]?.payload ?? '');
  assert.deepEqual([destinationId, sourceId, jobState, errorCode, attemptNum], ['d1', 's1', 'succeeded', '200', 1]);
  tap.watch(nothing);
  assert.equal(observers.isWanted, false);
});

test('a transformation is shown with the event before and the events after it', () => {
  const { tap, told } = setup();
  const source = makeSource('s1', [changed]);
  const after = '{"type":"track","changed":true}';
  const run = { source, taps: [tap.transformationTap()], events: [{ type: 'track', event: 'Order' }] };
  const answers = () => new Map([['d1', { outputs: [after, after] }]]);
  runObserved({ ...run, answers });
  assert.equal(told.length, 0, 'nobody watches');
  tap.watch({ ...nothing, transformations: ['d1'] });
  runObserved({ ...run, answers });
  runObserved({ ...run, answers: () => new Map([['d1', { outputs: [], failure: { code: 400, reason: 'no' } }]]) });
  const [good, bad] = told.flatMap(({ samples }) => samples.map(({ payload }) => JSON.parse(payload)));
  assert.equal(good.eventBefore.event, 'Order');
  assert.deepEqual(good.eventsAfter, [JSON.parse(after), JSON.parse(after)]);
  assert.deepEqual([good.transformationId, bad.error, bad.statusCode], ['t1', 'no', 400]);
});

test('threads are told who is watched when it changes, and who watches slowly loses the oldest', () => {
  const { clock } = setup();
  const hub = new LiveHub(clock);
  const told: Watched[] = [];
  hub.follow((watched) => told.push(watched));
  const [first, second]: Watcher[] = [1, 2].map((max) => ({ ring: new EventRing(max), wake: () => {} }));
  assert(first !== undefined && second !== undefined);
  hub.watch('delivery', 'd1', first);
  hub.watch('delivery', 'd1', second);
  for (const n of [1, 2, 3]) {
    hub.offer({ kind: 'liveTold', samples: [{ of: 'delivery', destinationId: 'd1', atMs: n, payload: `{"n":${n}}` }] });
  }
  assert.deepEqual(first.ring.take(9), { events: [{ receivedAtMs: 3, payload: '{"n":3}' }], dropped: 2 });
  assert.equal(second.ring.take(9).events.length, 2);
  hub.unwatch('delivery', 'd1', first);
  hub.unwatch('delivery', 'd1', second);
  assert.deepEqual(told, [{ ...nothing, deliveries: ['d1'] }, nothing]);
});

test('what the control plane asks for is posted to it, and dropped when it does not take it', async () => {
  const { workspace, clock } = setup();
  const hub = new LiveHub(clock);
  const calls: ServiceCall[] = [];
  let status = 200;
  const client = {
    call: (call: ServiceCall) => {
      calls.push(call);
      return Promise.resolve({ status, header: () => '', body: Buffer.alloc(0) });
    },
  };
  const upload = new DebugUpload({ hub, workspace, client, url: 'http://plane/', token: 't', clock, log: silentLog });
  const offer = (n: number): void =>
    hub.offer({
      kind: 'liveTold',
      samples: [
        { of: 'delivery', destinationId: 'd1', atMs: n, payload: `{"n":${n}}` },
        { of: 'delivery', destinationId: 'd2', atMs: n, payload: '{"not":"wanted"}' },
        { of: 'transformation', destinationId: 'd1', atMs: n, payload: `{"t":${n}}` },
      ],
    });
  await upload.flush();
  for (let n = 0; n < 300; n += 1) offer(n);
  await upload.flush();
  const [deliveries, transformations] = calls.map(({ url, body }) => ({
    path: url.pathname,
    json: JSON.parse(Buffer.from(body ?? []).toString()),
  }));
  assert.equal(deliveries?.path, '/dataplane/v2/eventDeliveryStatus');
  assert.deepEqual(Object.keys(deliveries.json), ['version', 'd1']);
  assert.equal(deliveries.json.d1.length, 32);
  assert.deepEqual(deliveries.json.d1[0], { n: 44 }, 'the oldest are dropped');
  assert.equal(transformations?.path, '/dataplane/eventTransformStatus');
  assert.equal(transformations.json.payload.length, 32);
  status = 500;
  const before = calls.length;
  const failing = upload.flush();
  for (let round = 0; round < 20; round += 1) {
    await new Promise<void>((resolve) => setImmediate(resolve));
    clock.fireNext(clock.monotonicMs() + 150);
  }
  await failing;
  assert.equal(calls.length - before, 6, 'three tries of each');
  await upload.close();
});
