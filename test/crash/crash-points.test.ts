// Points are found wherever the code awaits, named so that people find the place, and instrumented code does what it did.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instrument } from './crash-points.ts';

const module = `
const periodMs = 10_000;
export async function open(session, log) {
  const answer = await session.query('begin; select 1');
  for (const one of [1, 2]) log.push(await later(one), await later(await later(periodMs)));
  return { answer };
}
async function later(value) { return value; }
export class Lane {
  #depth = 0;
  handle(value) { this.#depth += value; return this.#depth; }
  async run() { return await this.#write().catch(() => 'caught'); }
  async #write() { throw new Error('refused'); }
}
`;

const described = { name: 'storage/example', handlers: ['handle'], constants: { periodMs: 5 } };

/** The seam as a module that writes down what it is told. */
const seam = `data:text/javascript,${encodeURIComponent(`
  export const calls = globalThis.crashPointCalls ??= [];
  export const before = (name) => void calls.push(name + ':before');
  export const sent = (name, value) => (calls.push(name + ':sent'), value);
  export const after = (name, value) => (calls.push(name + ':after'), value);
  export const entry = (name) => void calls.push(name + ':entry');
  export const exit = (name) => void calls.push(name + ':exit');
`)}`;

test('every await is three points, named by function and by what is awaited', () => {
  const { points } = instrument(described, module, seam);
  const names = [
    'storage/example:open/query(begin select)',
    'storage/example:open/later',
    'storage/example:open/later#2',
    'storage/example:open/later#3',
    'storage/example:run/#write',
  ];
  const awaits = names.flatMap((name) => [`${name}:before`, `${name}:sent`, `${name}:after`]);
  assert.deepEqual(points.sort(), [...awaits, 'storage/example:handle:entry', 'storage/example:handle:exit'].sort());
});

test('instrumented code does what it did, and tells the seam in order', async () => {
  const { text } = instrument(described, module, seam);
  const { open, Lane } = await import(`data:text/javascript,${encodeURIComponent(text)}`);
  const log: unknown[] = [];
  const answer = await open({ query: (sql: string) => Promise.resolve(sql) }, log);
  assert.deepEqual(answer, { answer: 'begin; select 1' });
  assert.deepEqual(log, [1, 5, 2, 5]);
  const lane = new Lane();
  assert.equal(lane.handle(2), 2);
  assert.equal(await lane.run(), 'caught');
  const calls: string[] = Reflect.get(globalThis, 'crashPointCalls');
  const query = 'storage/example:open/query(begin select)';
  assert.deepEqual(calls.slice(0, 3), [`${query}:before`, `${query}:sent`, `${query}:after`]);
  assert.deepEqual(calls.slice(-5), [
    'storage/example:handle:entry',
    'storage/example:handle:exit',
    'storage/example:run/#write:before',
    'storage/example:run/#write:sent',
    'storage/example:run/#write:after',
  ]);
});

test('a handler or constant that is not there any more is told', () => {
  assert.throws(() => instrument({ ...described, handlers: ['gone'] }, module, seam), /to have gone/);
  assert.throws(() => instrument({ ...described, constants: { gone: 1 } }, module, seam), /to have gone/);
});
