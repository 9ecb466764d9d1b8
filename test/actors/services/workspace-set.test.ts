// Answers of a control plane, taken by what changed in them: only changed sources are read again, one workspace's fault
// is its own, and a broken answer changes nothing.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { jsonParts } from '../../../actors/services/json-parts.ts';
import { WorkspaceSet, type WorkspaceSetOutcome } from '../../../actors/services/workspace-set.ts';
import { planeSource } from '../../support/control-plane.ts';

function newSet(environment?: Record<string, string>): WorkspaceSet {
  return new WorkspaceSet({ environment, turn: () => Promise.resolve() });
}

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const workspace = (...ids: string[]) => ({ sources: ids.map((id) => planeSource(id)) });

function changeOf(outcome: WorkspaceSetOutcome) {
  assert.ok(outcome.ok, `expected a good answer, got ${outcome.ok ? '' : outcome.reason}`);
  const { sources, removedSourceIds } = outcome.change;
  return { changed: sources.map(({ id }) => id), removed: removedSourceIds };
}

test('parts of any JSON table or list are what JSON.parse finds in it', () => {
  const container = fc.oneof(fc.array(fc.jsonValue()), fc.dictionary(fc.string(), fc.jsonValue()));
  fc.assert(
    fc.property(container, fc.constantFrom(0, 1, 3), (value, indent) => {
      const bytes = Buffer.from(JSON.stringify(value, null, indent));
      const parts = [...jsonParts(bytes)].map(({ name, start, end }) => [
        name,
        JSON.parse(bytes.toString('utf8', start, end)),
      ]);
      const expected = Array.isArray(value) ? value.map((item) => ['', item]) : Object.entries(value);
      assert.deepEqual(parts, JSON.parse(JSON.stringify(expected)));
    }),
  );
});

test('any cut of an answer, and anything behind it, is refused and changes nothing', async () => {
  const set = newSet();
  await set.takeMany(json({ a: workspace('s1') }));
  const answer = json({ a: workspace('s1', 's2'), b: null });
  for (let length = 0; length < answer.byteLength; length += 1) {
    assert.equal((await set.takeMany(answer.subarray(0, length))).ok, false, `cut at ${length}`);
  }
  assert.equal((await set.takeMany(Buffer.concat([json({ a: workspace('s2') }), Buffer.from('x')]))).ok, false);
  assert.deepEqual(
    set.sources.map(({ id }) => id),
    ['s1'],
  );
});

test('only what changed is named, and what did not stays the same object', async () => {
  const set = newSet();
  await set.takeMany(json({ a: workspace('s1', 's2'), b: workspace('s3') }));
  const [first] = set.sources;
  const changed = { sources: [planeSource('s1'), planeSource('s2', { name: 'new' })] };
  assert.deepEqual(changeOf(await set.takeMany(json({ a: changed, b: null }))), { changed: ['s2'], removed: [] });
  assert.equal(set.sources[0], first);
  assert.deepEqual(changeOf(await set.takeMany(json({ a: null }))), { changed: [], removed: ['s3'] });
});

test('an unknown workspace that is said to be unchanged asks for everything again', async () => {
  const outcome = await newSet().takeMany(json({ a: null }));
  assert.ok(!outcome.ok && outcome.mustReload === true);
});

test('a workspace with a fault keeps its last good version while the others go on', async () => {
  const set = newSet();
  await set.takeMany(json({ a: workspace('s1'), b: workspace('s2') }));
  const outcome = await set.takeMany(json({ a: { sources: [{ id: 's1' }] }, b: workspace('s2', 's3') }));
  assert.deepEqual(changeOf(outcome), { changed: ['s3'], removed: [] });
  assert.deepEqual(
    set.sources.map(({ id }) => id),
    ['s1', 's2', 's3'],
  );
  assert.match(set.refusals.join(), /^a\.sources\[0\]\.writeKey: expected a text, got nothing/);
});

test('a fault deep in a long list is named by its place', async () => {
  const set = newSet();
  const sources: unknown[] = Array.from({ length: 130 }, (_, index) => planeSource(`s${index}`));
  sources[125] = { id: 's125', sourceDefinition: { name: 'HTTP' } };
  await set.takeMany(json({ a: { sources } }));
  assert.match(set.refusals.join(), /a\.sources\[125\]\.writeKey/);
});

test('a write key that moves between workspaces is taken over in either order', async () => {
  const claimed = { sources: [planeSource('s2', { writeKey: 'wk-s1' })] };
  for (const together of [true, false]) {
    const set = newSet();
    await set.takeMany(json({ a: workspace('s1'), b: workspace('s2') }));
    const freed = { sources: [planeSource('s1', { writeKey: 'other' })] };
    if (together) await set.takeMany(json({ b: claimed, a: freed }));
    else {
      await set.takeMany(json({ a: null, b: claimed }));
      assert.match(set.refusals.join(), /write key/);
      await set.takeMany(json({ a: freed, b: null }));
    }
    assert.deepEqual(set.refusals, []);
    assert.deepEqual(
      set.sources.map(({ writeKey }) => writeKey),
      ['other', 'wk-s1'],
    );
  }
});

test('the environment is only read when its owner allows it', async () => {
  const secret = { sources: [planeSource('s1', { config: { token: 'env.TOKEN' } })] };
  const [closed, open] = [newSet(), newSet({ TOKEN: 'secret' })];
  await closed.takeOne(json({ workspaceId: 'w', ...secret }));
  await open.takeOne(json({ workspaceId: 'w', ...secret }));
  assert.equal(closed.sources[0]?.config.token, 'env.TOKEN');
  assert.equal(open.sources[0]?.config.token, 'secret');
});

test('an answer for one workspace is refused whole', async () => {
  const set = newSet();
  await set.takeOne(json({ workspaceId: 'w', ...workspace('s1') }));
  for (const bad of [
    [],
    7,
    { workspaceId: 'w' },
    { workspaceId: 'w', sources: {} },
    { sources: [planeSource('s2')] },
  ]) {
    assert.equal((await set.takeOne(json(bad))).ok, false, JSON.stringify(bad));
  }
  assert.deepEqual(
    set.sources.map(({ id }) => id),
    ['s1'],
  );
});
