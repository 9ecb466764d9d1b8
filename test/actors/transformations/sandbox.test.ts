// What every sandbox engine must do: the results of spec/transformer-and-clients.md section 2, and limits that end the
// one event that breaks them. One suite, so that it makes no difference to a customer which engine runs the code.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { quickJsEngine } from '../../../actors/transformations/quickjs-engine.ts';
import { ProgramError, type Sandbox, type SandboxEngine } from '../../../actors/transformations/sandbox-engine.ts';
import { callEach, itemOf, openSandbox, type SandboxOptions, shown } from '../../support/sandbox.ts';

const engines: readonly SandboxEngine[] = [quickJsEngine];

for (const engine of engines) {
  const open = async (t: TestContext, code: string, options?: SandboxOptions): Promise<Sandbox> => {
    const sandbox = await openSandbox(engine, code, options);
    t.after(() => sandbox.dispose());
    return sandbox;
  };

  test(`${engine.name}: objects go on, nothing filters, arrays become several, everything else fails`, async (t) => {
    const sandbox = await open(
      t,
      `export function transformEvent(event) {
        switch (event.event) {
          case 'object': delete event.messageId; return { ...event, seen: true };
          case 'null': return null;
          case 'none': return;
          case 'array': return [{ a: 1 }, { a: 2 }];
          case 'empty': return [];
          case 'mixed': return [{ a: 1 }, 5];
          case 'number': return 5;
          case 'throw': throw new TypeError('no ' + event.event);
          case 'thrown text': throw 'just text';
        }
      }`,
    );
    const names = ['object', 'null', 'none', 'array', 'empty', 'mixed', 'number', 'throw', 'thrown text'];
    const results = await callEach(
      sandbox,
      names.map((name) => ({ event: name, messageId: 'm' })),
    );
    const notObject = 'returned event from transformEvent(event) is not an object';
    assert.deepEqual(results.slice(0, 7), [
      [{ event: 'object', seen: true }],
      'filtered',
      'filtered',
      [{ a: 1 }, { a: 2 }],
      'filtered',
      notObject,
      notObject,
    ]);
    assert.match(String(results[7]), /^TypeError: no throw\n\s+at transformEvent \(mask email:\d+/);
    assert.equal(results[8], 'thrown: just text');
    assert.equal(sandbox.isSpent, false);
  });

  test(`${engine.name}: async code, libraries, credentials, log and metadata work as in the field`, async (t) => {
    const logs: string[] = [];
    const sandbox = await open(
      t,
      `import { double } from 'mathTools';
      export async function transformEvent(event, metadata) {
        await null;
        log('saw', event.event, { n: 1 });
        event.n = double(21);
        event.token = getCredential('apiToken');
        event.none = getCredential('other') === undefined;
        event.source = metadata(event).sourceId;
        event.messageId = 'changed';
        event.lost = metadata(event).sourceId === undefined;
        return event;
      }`,
      {
        logs,
        libraries: new Map([['mathTools', 'export const double = (n) => n * 2;']]),
        credentials: { apiToken: 's3cret' },
      },
    );
    const result = await sandbox.call([itemOf({ event: 'Paid', messageId: 'm' }, { sourceId: 'src' })]);
    assert.deepEqual(shown(result.outcomes[0]), [
      { event: 'Paid', messageId: 'changed', n: 42, token: 's3cret', none: true, source: 'src', lost: true },
    ]);
    assert.deepEqual(logs, ['saw Paid {"n":1}']);
  });

  test(`${engine.name}: fetch gives parsed JSON or ERROR, fetchV2 the whole answer or a rejection`, async (t) => {
    const sandbox = await open(
      t,
      `export async function transformEvent(event) {
        const [plain, whole] = await Promise.all([fetch(event.url), fetchV2(event.url).catch((e) => e.message)]);
        return { plain, whole };
      }`,
      {
        fetch: (url) =>
          url.includes('bad')
            ? Promise.reject(new Error('refused'))
            : Promise.resolve({ url, status: 200, headers: { a: 'b' }, body: '{"country":"NZ"}' }),
      },
    );
    assert.deepEqual(await callEach(sandbox, [{ url: 'http://good' }, { url: 'http://bad' }]), [
      [
        {
          plain: { country: 'NZ' },
          whole: { url: 'http://good', status: 200, headers: { a: 'b' }, body: { country: 'NZ' } },
        },
      ],
      [{ plain: 'ERROR', whole: 'refused' }],
    ]);
  });

  test(`${engine.name}: a batch is matched to its events by message id`, async (t) => {
    const sandbox = await open(
      t,
      `export function transformBatch(events, metadata) {
        return [...events.filter((e) => e.keep).map((e) => ({ ...e, job: metadata(e).jobId })), { fresh: true }, 7];
      }`,
    );
    assert.equal(sandbox.mode, 'batch');
    const events = [1, 2, 3].map((n) => itemOf({ messageId: `m${n}`, keep: n === 2 }, { jobId: n }));
    const { outcomes } = await sandbox.call(events);
    assert.deepEqual(outcomes.map(shown), [[{ fresh: true }], [{ messageId: 'm2', keep: true, job: 2 }], 'filtered']);
    assert.match(outcomes[0]?.failure?.reason ?? '', /not an object/);
  });

  test(`${engine.name}: code that does not load says why`, async () => {
    const bad: [string, RegExp][] = [
      ['export function transformEvent( {', /does not load: SyntaxError/],
      ['export const other = 1;', /Expected one of transformEvent, transformBatch/],
      ['export const transformEvent = () => 1, transformBatch = () => 1;', /Expected one of/],
      ["import { a } from 'nowhere'; export const transformEvent = () => a;", /no library "nowhere"/],
      ['for (;;); export const transformEvent = () => 1;', /computed for more than 1000 ms/],
      ["throw new Error('at load'); export const transformEvent = () => 1;", /at load/],
    ];
    for (const [code, reason] of bad) {
      await assert.rejects(openSandbox(engine, code), (error: unknown) => {
        assert.ok(error instanceof ProgramError, String(error));
        assert.match(error.message, reason);
        return true;
      });
    }
  });

  test(`${engine.name}: an event that breaks a limit fails with the reason and spends its sandbox`, async (t) => {
    const code = `export function transformEvent(event) { return eval(event.code); }`;
    const cases: [string, RegExp, boolean][] = [
      ['for (;;);', /timed out/, true],
      ["/^(a+)+$/.test('a'.repeat(40) + 'b')", /timed out/, true],
      ['(async () => { for (;;) await 0; })()', /timed out/, true],
      ['const kept = []; for (;;) kept.push({ kept });', /memory|timed out/, true],
      ['(function again() { again(); })()', /stack overflow/, false],
      ["({ text: 'x'.repeat(200000) })", /at most 100000 characters/, false],
      ['new Promise(() => {})', /never be/, false],
      ['fetch.constructor("return process")()', /process/, false],
      ["this.constructor.constructor('return require')()", /require|undefined/, false],
    ];
    for (const [bad, reason, spends] of cases) {
      const sandbox = await open(t, code);
      const result = await sandbox.call([itemOf({ code: bad })]);
      assert.match(String(shown(result.outcomes[0])), reason, bad);
      assert.equal(sandbox.isSpent, spends, bad);
      assert.equal(result.shared, false, bad);
    }
  });

  test(`${engine.name}: what an event does to built-ins does not fail the next one`, async (t) => {
    const sandbox = await open(
      t,
      `export function transformEvent(event) {
        if (event.attack === 'proto') Object.prototype.toJSON = () => 'stolen';
        if (event.attack === 'own') event.__proto__ = { toJSON: () => ({ own: true }) };
        if (event.attack === 'json') JSON.parse = JSON.stringify = () => { throw new Error('mine') };
        if (event.attack === 'array') Array.isArray = () => true;
        return event;
      }`,
    );
    const attacks = ['proto', 'own', 'json', 'array', 'none'];
    const results = await callEach(
      sandbox,
      attacks.map((attack) => ({ attack })),
    );
    assert.match(String(results[0]), /TypeError/);
    assert.deepEqual(results.slice(1), [
      [{ own: true }],
      [{ attack: 'json' }],
      [{ attack: 'array' }],
      [{ attack: 'none' }],
    ]);
  });

  test(`${engine.name}: many events wait at the same time, each within its wall limit`, async (t) => {
    let waiting = 0;
    let most = 0;
    const sandbox = await open(
      t,
      `export async function transformEvent(event) { return { n: event.n, got: await fetch('http://x/' + event.n) }; }`,
      {
        limits: { wallMs: 300 },
        fetch: async (url) => {
          waiting += 1;
          most = Math.max(most, waiting);
          if (url.endsWith('/2')) return new Promise(() => {});
          await Promise.resolve();
          waiting -= 1;
          return { url, status: 200, headers: {}, body: '1' };
        },
      },
    );
    const results = await Promise.all([0, 1, 2, 3].map((n) => sandbox.call([itemOf({ n })])));
    assert.ok(most >= 3, String(most));
    assert.deepEqual(
      results.map(({ outcomes }) => shown(outcomes[0])),
      [
        [{ n: 0, got: 1 }],
        [{ n: 1, got: 1 }],
        'its promise was not settled within 300 ms, or can never be',
        [{ n: 3, got: 1 }],
      ],
    );
  });
}
