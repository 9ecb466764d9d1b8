// The processor's stages over single events: what is written, what is counted, and that nothing is lost or changed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeEvent } from '../../actors/processor/event-text.ts';
import { abortRefused, processJob } from '../../actors/processor/pipeline.ts';
import { PipelineBatch } from '../../actors/processor/pipeline-batch.ts';
import { RouteTable } from '../../actors/processor/routes.ts';
import { SourcePlans } from '../../actors/processor/source-plan.ts';
import type { Ending, Stage, Tap } from '../../actors/processor/stage.ts';
import { type DestinationConfig, WorkspaceIndex } from '../../actors/services/workspace.ts';
import { readJobs } from '../../actors/storage/job-row.ts';
import type { Results } from '../../actors/storage/partition-session.ts';
import type { Tracing } from '../../runtime/index.ts';
import { makeDestination, makeSnapshot, makeSource } from '../support/workspace-objects.ts';

const receivedAtMs = Date.parse('2026-03-01T12:00:00.000Z');
const minute = receivedAtMs / 60_000;
const noTracing: Tracing = { enabled: false, start: () => ({ traceparent: undefined, end: () => {} }) };
const gatewayParameters = {
  source_id: 'src',
  workspace_id: 'ws-1',
  traceparent: '00-a-b-01',
  source_job_run_id: 'run',
};

interface Input {
  destinations?: DestinationConfig[];
  payload: string;
  parameters?: string;
  tracing?: Tracing;
  stages?: Stage[];
  taps?: Tap[];
}

function run({
  destinations = [makeDestination('d1')],
  payload,
  parameters,
  tracing = noTracing,
  stages = [],
  taps = [],
}: Input): Results {
  const batch = new PipelineBatch(0);
  const job = {
    jobId: 7,
    parentId: 0,
    partition: 'src',
    userId: '<<>>anon<<>>ann',
    messageId: 'm-7',
    receivedAtMs,
    parameters: parameters ?? JSON.stringify(gatewayParameters),
    payload: Buffer.from(payload),
  };
  const workspace = new WorkspaceIndex(makeSnapshot([makeSource('src', destinations)]));
  const context = {
    workspace,
    plans: new SourcePlans({
      routes: new RouteTable({ isolation: 'destination', shards: '' }),
      stages: stages.map((stage) => () => stage),
      taps: taps.map((tap) => () => tap),
    }),
    tracing,
    nowMs: receivedAtMs + 5,
    dedup: { claim: () => true, giveBack: () => undefined },
    tapFailed: () => undefined,
  };
  processJob({ job, afterId: 3, again: false, status: undefined }, batch, context);
  return batch.takeResults();
}

function countsOf(results: Results): string[] {
  return results.ledger
    .map(({ sourceId, destinationId, kind, count }) => `${sourceId}/${destinationId} ${kind} ${count}`)
    .sort();
}

function jobsOf(results: Results) {
  return results.jobs.flatMap(({ rows }) => readJobs(rows));
}

test('an event becomes one job per destination, and its own job a plain success', () => {
  const payload = '{"type":"track","event":"Paid","originalTimestamp":"2026-03-01T12:00:00.000Z"}';
  const results = run({ payload, destinations: [makeDestination('d1'), makeDestination('d2')] });
  const jobs = jobsOf(results);
  assert.deepEqual(
    jobs.map(({ partition }) => partition),
    ['d1', 'd2'],
  );
  for (const job of jobs) {
    const { parentId, jobId, userId, messageId } = job;
    assert.deepEqual(
      { parentId, jobId, userId, messageId, receivedAtMs: job.receivedAtMs },
      { parentId: 7, jobId: 0, userId: '<<>>anon<<>>ann', messageId: 'm-7', receivedAtMs },
    );
  }
  assert.deepEqual(JSON.parse(jobs[0]?.parameters ?? ''), {
    source_id: 'src',
    destination_id: 'd1',
    workspace_id: 'ws-1',
    event_name: 'Paid',
    event_type: 'track',
    source_job_run_id: 'run',
    traceparent: '00-a-b-01',
    request: { endpoint: 'http://127.0.0.1:9/d1' },
  });
  assert.deepEqual(results.runs, [{ afterId: 3, jobIds: [7] }]);
  assert.deepEqual(results.statuses, []);
  assert.deepEqual(results.ledger, [
    { minute, sourceId: 'src', destinationId: 'd1', kind: 'routed', count: 1 },
    { minute, sourceId: 'src', destinationId: 'd2', kind: 'routed', count: 1 },
    { minute, sourceId: 'src', destinationId: '', kind: 'processed', count: 1 },
  ]);
});

test('what the client wrote stays byte for byte when only times are added', () => {
  const payload =
    '{ "type" : "track", "big": 12345678901234567890, "e": 1.0e2, "originalTimestamp":"2026-03-01T12:00:00.000Z" } \n';
  const [job] = jobsOf(run({ payload }));
  const text = Buffer.from(job?.payload ?? []).toString();
  assert.ok(text.startsWith('{ "type" : "track", "big": 12345678901234567890, "e": 1.0e2, '), text);
  assert.equal(JSON.parse(text).timestamp, '2026-03-01T12:00:00.000Z');
});

test('numbers stay as they came when a time had to be written anew', () => {
  const numbers = '"a":9223372036854775807,"b":1e400,"c":-0,"d":1.10';
  const payload = `{"type":"track",${numbers},"timestamp":"2026-03-01T12:00:00+00:00"}`;
  const [job] = jobsOf(run({ payload }));
  const text = Buffer.from(job?.payload ?? []).toString();
  assert.ok(text.startsWith(`{"type":"track",${numbers},"timestamp":"2026-03-01T12:00:00.000Z"`), text);
});

test('spliced bytes always parse to the event they stand for', () => {
  const values = fc.dictionary(fc.string(), fc.jsonValue());
  fc.assert(
    fc.property(
      values,
      fc.dictionary(fc.constantFrom('sentAt', 'timestamp', 'receivedAt'), fc.string()),
      fc.nat(3),
      (own, added, spaces) => {
        const payload = Buffer.from(`${JSON.stringify(own, undefined, spaces)}${' '.repeat(spaces)}`);
        const fresh = Object.keys(added).filter((name) => !Object.hasOwn(own, name));
        const event: Record<string, unknown> = JSON.parse(payload.toString());
        for (const name of fresh) event[name] = added[name];
        const bytes = Buffer.concat(encodeEvent(payload, event, { added: fresh, replaced: [], rewritten: false }));
        assert.deepEqual(JSON.parse(bytes.toString()), event);
      },
    ),
  );
});

test('excluded destinations are counted as routed and filtered', () => {
  const results = run({
    payload: '{"type":"track","integrations":{"All":false}}',
    destinations: [makeDestination('d1'), makeDestination('d2', { enabled: false })],
  });
  assert.deepEqual(jobsOf(results), []);
  assert.deepEqual(countsOf(results), [
    'src/ processed 1',
    'src/d1 filtered 1',
    'src/d1 routed 1',
    'src/d2 filtered 1',
    'src/d2 routed 1',
  ]);
});

test('a destination that cannot be sent to aborts its share and tells why; the others get theirs', () => {
  const results = run({
    payload: '{"type":"track"}',
    destinations: [makeDestination('bad', { config: {} }), makeDestination('d2')],
  });
  const [routed, kept] = results.jobs;
  assert.deepEqual(
    readJobs(routed?.rows ?? Buffer.alloc(0)).map(({ partition }) => partition),
    ['d2'],
  );
  const [letter] = readJobs(kept?.rows ?? Buffer.alloc(0));
  assert.deepEqual([kept?.queue, letter?.partition, letter?.parentId], ['err', 'src', 7]);
  assert.equal(Buffer.from(letter?.payload ?? []).toString(), '{"type":"track"}', 'as it came');
  assert.deepEqual(JSON.parse(letter?.parameters ?? ''), {
    source_id: 'src',
    destination_id: 'bad',
    stage: 'dest_transformer',
    config_version: 1,
    event_type: 'track',
    again: { ...gatewayParameters, destination_id: 'bad', retry: { of: 7 } },
  });
  assert.deepEqual(
    kept?.ended?.map(({ state, code }) => `${state} ${code}`),
    ['aborted 400'],
  );
  assert.deepEqual(countsOf(results), ['src/ processed 1', 'src/bad aborted 1', 'src/bad routed 1', 'src/d2 routed 1']);
  const [status] = results.statuses;
  assert.equal(status?.state, 'succeeded');
  assert.deepEqual(JSON.parse(status?.response ?? ''), {
    aborted: [{ destinationId: 'bad', code: 400, reason: 'webhookUrl is missing', stage: 'dest_transformer' }],
    configVersion: 1,
  });
});

test('an event that cannot be processed is aborted with its reason, and counted', () => {
  const table: [Partial<Input> & { payload: string }, string, number, string][] = [
    [{ payload: '{"type":' }, 'payload is not a JSON object', 400, 'src'],
    [{ payload: '[1]' }, 'payload is not a JSON object', 400, 'src'],
    [{ payload: 'null' }, 'payload is not a JSON object', 400, 'src'],
    [{ payload: '{}', parameters: '{"source_id":"gone"}' }, 'source not found', 410, 'gone'],
    [{ payload: '{}', parameters: 'x' }, 'parameters are not a JSON object', 400, ''],
    [{ payload: '{}', parameters: '[]' }, 'parameters are not a JSON object', 400, ''],
  ];
  for (const [input, reason, code, sourceId] of table) {
    const results = run(input);
    assert.deepEqual(results.runs, []);
    assert.deepEqual(results.jobs, []);
    const [status] = results.statuses;
    assert.deepEqual(
      [status?.state, status?.code, JSON.parse(status?.response ?? '')],
      ['aborted', code, { reason, stage: 'preprocess', configVersion: 1 }],
    );
    assert.deepEqual(countsOf(results), [`${sourceId}/ aborted 1`]);
  }
});

test('an event nested deeper than anybody could encode is passed on as it came', () => {
  const depth = 200_000;
  const deep = `"deep":${'['.repeat(depth)}${']'.repeat(depth)}`;
  const results = run({ payload: `{"timestamp":"1 Mar 2026 12:00:00",${deep}}` });
  const text = Buffer.from(jobsOf(results)[0]?.payload ?? []).toString();
  assert.ok(text.startsWith(`{"timestamp":"2026-03-01T12:00:00.000Z",${deep},`));
});

test('accepted events balance whatever they are', () => {
  const destinations = [
    makeDestination('d1'),
    makeDestination('bad', { config: {} }),
    makeDestination('off', { enabled: false }),
  ];
  fc.assert(
    fc.property(
      fc.oneof(
        fc.json(),
        fc
          .dictionary(fc.constantFrom('type', 'integrations', 'sentAt'), fc.jsonValue())
          .map((value) => JSON.stringify(value)),
      ),
      (payload) => {
        const results = run({ payload, destinations });
        const sum = (kind: string, destinationId: string): number =>
          results.ledger
            .filter((one) => one.kind === kind && one.destinationId === destinationId)
            .reduce((all, one) => all + one.count, 0);
        assert.equal(sum('processed', '') + sum('aborted', ''), 1);
        for (const { id } of destinations) {
          const pending = jobsOf(results).filter(({ partition }) => partition === id).length;
          assert.equal(sum('routed', id), sum('filtered', id) + sum('aborted', id) + pending);
        }
      },
    ),
  );
});

test('with tracing every event gets a span, and its jobs carry it on', () => {
  const ended: string[] = [];
  const tracing: Tracing = {
    enabled: true,
    start: (name, options) => ({ traceparent: `${options?.traceparent}/child`, end: () => ended.push(name) }),
  };
  const [job] = jobsOf(run({ payload: '{"type":"track"}', tracing }));
  assert.equal(JSON.parse(job?.parameters ?? '').traceparent, '00-a-b-01/child');
  assert.deepEqual(ended, ['processor.process']);
});

test('results that storage refuses become one aborted event with the reason', () => {
  const batch = new PipelineBatch(0);
  const job = {
    jobId: 9,
    parentId: 0,
    partition: 'src',
    userId: 'u',
    messageId: 'm',
    receivedAtMs,
    parameters: JSON.stringify(gatewayParameters),
    payload: Buffer.from('{}'),
  };
  const workspace = new WorkspaceIndex(makeSnapshot([], 4));
  abortRefused({ job, afterId: 8, again: false, status: undefined }, batch, 'bad text (22021)', {
    workspace,
    nowMs: receivedAtMs,
  });
  const results = batch.takeResults();
  assert.deepEqual(countsOf(results), ['src/ aborted 1']);
  assert.deepEqual(JSON.parse(results.statuses[0]?.response ?? ''), {
    reason: 'storage refused the results: bad text (22021)',
    stage: 'store',
    configVersion: 4,
  });
});

test('a stage changes what goes on, or ends the event for all of its destinations', () => {
  const blocked: Ending = { kind: 'filtered', code: 298, reason: 'blocked', stage: 'event_blocking' };
  const stages: Stage[] = [
    (inHand) => {
      inHand.event.marked = true;
      inHand.rewritten();
      return undefined;
    },
    ({ event }) => (event.event === 'secret' ? blocked : undefined),
    ({ event }) => {
      if (event.event === 'poison') throw new RangeError('of the stage');
      return undefined;
    },
  ];
  const [job] = jobsOf(run({ payload: '{"type":"track","event":"open"}', stages }));
  assert.equal(JSON.parse(Buffer.from(job?.payload ?? []).toString()).marked, true);
  const ended = run({ payload: '{"type":"track","event":"secret"}', stages });
  assert.deepEqual(countsOf(ended), ['src/ filtered 1']);
  assert.equal(ended.statuses[0]?.state, 'filtered');
  assert.equal(JSON.parse(ended.statuses[0]?.response ?? '').stage, 'event_blocking');
  const poison = run({ payload: '{"type":"track","event":"poison"}', stages });
  assert.deepEqual(countsOf(poison), ['src/ aborted 1']);
});

test('a tap hears what became of an event, adds to its commit, and cannot harm it', () => {
  const heard: string[] = [];
  const taps: Tap[] = [
    {
      processed: () => {
        throw new Error('of the tap');
      },
    },
    {
      processed: ({ inHand, routed }, commit) => {
        heard.push(`routed ${routed.length}`);
        const { partition, userId, messageId, receivedAtMs } = inHand.handed.job;
        const parentId = inHand.handed.job.jobId;
        commit.add('esch', { jobId: 0, parentId, partition, userId, messageId, receivedAtMs, parameters: '{}' }, []);
      },
      ended: (_handed, inHand, { stage }) => void heard.push(`${stage} ${inHand === undefined}`),
    },
  ];
  const results = run({ payload: '{"type":"track"}', taps });
  assert.deepEqual(
    results.jobs.map(({ queue, count }) => `${queue} ${count}`),
    ['rt 1', 'esch 1'],
  );
  run({ payload: 'x', taps });
  assert.deepEqual(heard, ['routed 1', 'preprocess true']);
});
