// Customers' code run by a remote service: the same code gives the same outcomes as here, and a service that is away or
// answers nonsense costs no event.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { settingsSchema } from '../../actors/config.ts';
import {
  type TransformItem,
  type TransformOutcome,
  type TransformReply,
  transformationKind,
} from '../../actors/transformations/contract.ts';
import { quickJsEngine } from '../../actors/transformations/quickjs-engine.ts';
import {
  type RemoteAnswered,
  RemoteTransformation,
  remoteHttpClient,
} from '../../actors/transformations/remote-transformation.ts';
import type { TransformationMessage } from '../../actors/transformations/transformation.ts';
import { defineActor, loadConfig } from '../../runtime/index.ts';
import { openSandbox } from '../support/sandbox.ts';
import { testRuntime } from '../support/test-runtime.ts';
import { TestTransformer } from '../support/test-transformer.ts';

const loaded = loadConfig(settingsSchema, { environment: {}, flags: [] });
assert(loaded.ok);

type Table = Record<string, unknown>;

const codes: Readonly<Record<string, string>> = {
  event: `export function transformEvent(event, metadata) {
    switch (event.n % 5) {
      case 0: return null;
      case 1: throw new Error('no ones');
      case 2: return [event, { ...event, second: true }];
      case 3: return 7;
      default: return { ...event, from: metadata(event).sourceId };
    }
  }`,
  batch: `export function transformBatch(events) { return events.filter((event) => event.n % 2 === 0); }`,
};

function itemsOf(count: number): TransformItem[] {
  return Array.from({ length: count }, (_, n) => ({
    event: JSON.stringify({ n, messageId: `m${n}` }),
    metadata: JSON.stringify({ jobId: n + 1, messageId: `m${n}`, destinationId: 'd', sourceId: 'src' }),
  }));
}

/** What the service makes of a request: our own sandbox, in the service's form and another order. */
async function runCode(t: TestContext, code: string, items: readonly Table[]): Promise<Table[]> {
  const sandbox = await openSandbox(quickJsEngine, code);
  t.after(() => sandbox.dispose());
  const texts = items.map(({ message, metadata }) => ({
    event: JSON.stringify(message),
    metadata: JSON.stringify(metadata),
  }));
  const calls = sandbox.mode === 'batch' ? [texts] : texts.map((text) => [text]);
  const outcomes: TransformOutcome[] = [];
  for (const call of calls) outcomes.push(...(await sandbox.call(call)).outcomes);
  const answers = outcomes.flatMap(({ outputs, failure }, index) => {
    const { metadata } = items[index] ?? {};
    if (failure !== undefined) return [{ statusCode: 400, error: failure.reason, metadata }];
    if (outputs.length === 0) return [{ statusCode: 298, metadata }];
    return outputs.map((output) => ({ statusCode: 200, output: JSON.parse(output), metadata }));
  });
  return answers.sort((one, other) => other.statusCode - one.statusCode);
}

async function setup(t: TestContext, timeoutMs = 5_000) {
  const transformer = await TestTransformer.start(t);
  const http = remoteHttpClient();
  t.after(() => http.close());
  const definition = defineActor<TransformationMessage | RemoteAnswered>({
    kind: transformationKind,
    role: 'test',
    idleMs: 60_000,
    remedy: '',
    create(context) {
      const remote = new RemoteTransformation(context, { http: () => http, timeoutMs, count: () => undefined });
      return {
        onMessage: (message) => {
          if (message.kind === 'remoteAnswered') remote.answered(message);
          else if (message.kind === 'transformChunk') remote.take(message);
        },
      };
    },
  });
  const runtime = testRuntime({ definitions: [definition], realTime: true }, t);
  const actor = runtime.ref<TransformationMessage>(transformationKind, 'v');
  const ask = (items: readonly TransformItem[], versionId = 'v1'): Promise<TransformReply> => {
    const libraries = [{ name: '', versionId: 'lib-1', code: undefined }];
    const credentials = { key: 's3cret' };
    const own = { workspaceId: 'w', transformationId: 't', language: 'javascript', code: undefined };
    const program = { ...own, versionId, libraries, credentials, remoteUrl: transformer.url };
    return actor.ask<TransformReply>({ kind: 'transformChunk', program, items }, { timeoutMs: 30_000 });
  };
  return { transformer, ask };
}

for (const [mode, code] of Object.entries(codes)) {
  test(`code for each ${mode} gives the same outcomes here and there`, async (t) => {
    const { transformer, ask } = await setup(t);
    transformer.custom = (items) => runCode(t, code, items);
    const items = itemsOf(10);
    const sandbox = await openSandbox(quickJsEngine, code);
    t.after(() => sandbox.dispose());
    const here =
      sandbox.mode === 'batch' ? (await sandbox.call(items)).outcomes : sandbox.callMany(items, 1_000).outcomes;
    const { outcomes, retryMs } = await ask(items);
    assert.deepEqual(outcomes, here);
    assert.equal(retryMs, 0);
    const [asked] = transformer.asked();
    assert.equal(asked?.path, '/customTransform');
    assert.equal(asked?.headers['x-feature-filter-code'], '?1');
    const [first] = (asked?.body ?? []) as Table[];
    assert.deepEqual(Object.keys(first ?? {}), ['message', 'metadata', 'destination', 'libraries', 'credentials']);
    assert.deepEqual(first?.destination, { Transformations: [{ VersionID: 'v1' }] });
    assert.deepEqual(first?.libraries, [{ VersionID: 'lib-1' }]);
    assert.deepEqual(first?.credentials, [{ id: 'key', key: 'key', value: 's3cret', isSecret: true }]);
  });
}

test('a service that is away, busy or of another version lets the events wait', async (t) => {
  const { transformer, ask } = await setup(t, 300);
  for (const fault of [
    { kind: 'status', status: 809 },
    { kind: 'status', status: 503 },
    { kind: 'wrong version' },
    { kind: 'hang' },
  ] as const) {
    transformer.fault = () => fault;
    const { outcomes, retryMs } = await ask(itemsOf(2));
    assert.deepEqual(outcomes, [null, null], fault.kind);
    assert.ok(retryMs > 0);
  }
});

test('one event that the service cannot bear fails alone', async (t) => {
  const { transformer, ask } = await setup(t, 800);
  transformer.custom = (items) =>
    items.map(({ message, metadata }) => ({ output: message, metadata, statusCode: 200 }));
  transformer.fault = ({ body }) =>
    JSON.stringify(body).includes('"n":2,') ? { kind: 'status', status: 500 } : undefined;
  const { outcomes } = await ask(itemsOf(4));
  assert.deepEqual(
    outcomes.map((outcome) => outcome?.failure?.code ?? outcome?.outputs.length),
    [1, 1, 500, 1],
  );
});

test('an answer that leaves an event out or cannot be read is used for none', async (t) => {
  const { transformer, ask } = await setup(t, 800);
  transformer.custom = (items) =>
    items.slice(0, 1).map(({ message, metadata }) => ({ output: message, metadata, statusCode: 200 }));
  const { outcomes } = await ask(itemsOf(2));
  assert.deepEqual(
    outcomes.map((outcome) => outcome?.outputs.length),
    [1, 1],
    'each alone is answered whole',
  );
  transformer.fault = () => ({ kind: 'no json' });
  const broken = await ask(itemsOf(1));
  assert.equal(broken.outcomes[0]?.failure?.code, 500);
});

test('a batch that fails as a whole fails all of its events', async (t) => {
  const { transformer, ask } = await setup(t);
  transformer.custom = (items) => [
    {
      statusCode: 400,
      error: 'it broke',
      metadata: { destinationId: 'd', messageIds: items.map(({ metadata }) => (metadata as Table).messageId) },
    },
  ];
  const { outcomes } = await ask(itemsOf(3));
  assert.deepEqual(
    outcomes.map((outcome) => outcome?.failure?.reason),
    ['it broke', 'it broke', 'it broke'],
  );
});
