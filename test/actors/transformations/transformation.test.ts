// The work of a transformation as an actor: events of a chunk through the real sandbox, and what becomes of those that
// misbehave among neighbours and among suspects.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { settingsSchema } from '../../../actors/config.ts';
import { ServiceError } from '../../../actors/services/service-client.ts';
import { suspectKind, type TransformReply, transformationKind } from '../../../actors/transformations/contract.ts';
import { quickJsEngine } from '../../../actors/transformations/quickjs-engine.ts';
import { ProgramError, type SandboxProgram } from '../../../actors/transformations/sandbox-engine.ts';
import { Transformation, type TransformationMessage } from '../../../actors/transformations/transformation.ts';
import { defineActor, loadConfig } from '../../../runtime/index.ts';
import { itemOf, shown } from '../../support/sandbox.ts';
import { testRuntime } from '../../support/test-runtime.ts';

const loaded = loadConfig(settingsSchema, { environment: {}, flags: [] });
assert(loaded.ok);
const { transformations } = loaded.settings;

type Ask = (events: readonly object[]) => Promise<TransformReply>;

function setup(t: TestContext, code: string | (() => Promise<SandboxProgram>), isAmongSuspects = false): Ask {
  const kind = isAmongSuspects ? suspectKind : transformationKind;
  const program = { workspaceId: 'w', transformationId: 't', versionId: 'v', language: 'javascript', remoteUrl: '' };
  const definition = defineActor<TransformationMessage>({
    kind,
    role: 'test',
    idleMs: 60_000,
    remedy: '',
    create(context) {
      const transformation = new Transformation(context, {
        settings: { ...transformations, cpuMsMax: 300, pauseMsMax: 1 },
        engine: quickJsEngine,
        isAmongSuspects,
        store: {
          programOf: () =>
            typeof code === 'string'
              ? Promise.resolve({ name: 'code', code, libraries: new Map(), credentials: {} })
              : code(),
        },
        fetch: undefined,
        count: () => undefined,
      });
      return { onMessage: (message) => transformation.receive(message), onStop: () => transformation.stop() };
    },
  });
  const runtime = testRuntime({ definitions: [definition], realTime: true }, t);
  const actor = runtime.ref<TransformationMessage>(kind, 'v');
  return (events) =>
    actor.ask<TransformReply>(
      {
        kind: 'transformChunk',
        program: { ...program, code: undefined, libraries: [], credentials: {} },
        items: events.map((event) => itemOf(event, { sourceId: 'src' })),
      },
      { timeoutMs: 20_000 },
    );
}

const numbers = Array.from({ length: 100 }, (_, n) => ({ n, messageId: `m${n}` }));

test('every event of a chunk has its own outcome, in the order of the chunk', async (t) => {
  const ask = setup(
    t,
    `export function transformEvent(event, metadata) {
      if (event.n % 10 === 1) return null;
      if (event.n % 10 === 2) throw new Error('no twos\\u001e');
      if (event.n % 10 === 3) return [event, { ...event, second: true }];
      return { ...event, from: metadata(event).sourceId };
    }`,
  );
  for (let round = 0; round < 2; round += 1) {
    const { outcomes, isSuspect } = await ask(numbers);
    assert.equal(isSuspect, false);
    for (const [n, outcome] of outcomes.entries()) {
      const event = numbers[n];
      if (n % 10 === 1) assert.equal(shown(outcome), 'filtered');
      else if (n % 10 === 2) assert.match(String(shown(outcome)), /^Error: no twos/);
      else if (n % 10 === 3) assert.deepEqual(shown(outcome), [event, { ...event, second: true }]);
      else assert.deepEqual(shown(outcome), [{ ...event, from: 'src' }]);
    }
  }
});

test('events that wait do not hold up those that do not', async (t) => {
  const ask = setup(
    t,
    `export function transformEvent(event) {
      return event.n % 7 === 3 ? Promise.resolve().then(() => ({ late: event.n })) : { n: event.n };
    }`,
  );
  for (let round = 0; round < 2; round += 1) {
    const { outcomes } = await ask(numbers);
    const expected = numbers.map(({ n }) => [n % 7 === 3 ? { late: n } : { n }]);
    assert.deepEqual(outcomes.map(shown), expected);
  }
});

for (const [name, bad] of [
  ['computes without end', 'for (;;);'],
  ['takes all memory', 'const kept = []; for (;;) kept.push(new Array(1000).fill(0));'],
  ['is made huge', "event.text = 'x'.repeat(20000000);"],
] as const) {
  const code = `export function transformEvent(event) { if (event.n === 50) { ${bad} } return event; }`;
  test(`an event that ${name} makes its transformation a suspect, whose other events all go through`, async (t) => {
    const among = setup(t, code);
    await among(numbers.slice(0, 40));
    const first = await among(numbers);
    const done = first.outcomes.filter((outcome) => outcome !== null);
    const hasOutput = done.filter((outcome) => outcome.outputs.length === 1);
    assert.ok(done.length - hasOutput.length <= 1, 'nobody but the guilty one may fail');
    if (name !== 'is made huge') assert.equal(first.isSuspect, true);
    assert.deepEqual((await among(numbers)).isSuspect, first.isSuspect, 'it stays one');

    const suspects = setup(t, code, true);
    let left = numbers;
    const failures: string[] = [];
    while (left.length > 0) {
      const { outcomes } = await suspects(left);
      for (const outcome of outcomes) if (outcome?.failure !== undefined) failures.push(outcome.failure.reason);
      left = left.filter((_event, index) => outcomes[index] === null);
    }
    assert.equal(failures.length, 1, failures.join('\n'));
    assert.match(failures[0] ?? '', /timed out|memory|characters of output/);
  });
}

test('code that computes while it loads is loaded among the suspects, and fails there', async (t) => {
  const code = 'for (;;); export const transformEvent = (event) => event;';
  const first = await setup(t, code)([{ n: 1 }]);
  assert.deepEqual([first.isSuspect, first.outcomes], [true, [null]]);
  const { outcomes } = await setup(t, code, true)([{ n: 1 }]);
  assert.match(String(shown(outcomes[0])), /does not load/);
});

test('a code store that is away costs no event, code that does not exist fails them', async (t) => {
  let asked = 0;
  const ask = setup(t, async () => {
    asked += 1;
    if (asked === 1) throw new ServiceError('UNREACHABLE', 'the code store cannot be connected to');
    return { name: 'x', code: 'export const transformEvent = (e) => e;', libraries: new Map(), credentials: {} };
  });
  const first = await ask([{ n: 1 }]);
  assert.deepEqual(first.outcomes, [null]);
  assert.ok(first.retryMs > 0);
  assert.deepEqual(shown((await ask([{ n: 1 }])).outcomes[0]), [{ n: 1 }]);

  const { outcomes } = await setup(t, () => Promise.reject(new ProgramError('it is not found', 404)))([{ n: 1 }]);
  assert.deepEqual(outcomes, [{ outputs: [], failure: { code: 404, reason: 'it is not found' } }]);
});
