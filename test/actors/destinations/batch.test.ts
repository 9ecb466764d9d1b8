// Several events in one request: what may be merged, what comes of it, and what the answer means for each event.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { batchKey, batchTo, batchVerdicts, mergeBodies, verdictsByIndex } from '../../../actors/destinations/batch.ts';
import { completeRequest, postJson, type TransformResult } from '../../../actors/destinations/destination.ts';
import { batchRulesOf, destinationTypes } from '../../../actors/destinations/registry.ts';
import { makeDestination } from '../../support/workspace-objects.ts';

const endpoint = 'https://api.example.com/batch';
const send = batchTo(postJson(endpoint), '{"key":"schlüssel","events":[', ']}');

function memberOf(result: TransformResult) {
  assert.ok(result.kind === 'deliver' && result.body !== 'event');
  return { request: completeRequest(JSON.parse(result.request)), body: result.body };
}

test('events of one shape become one body, in their order', () => {
  const members = [{ a: 'ä' }, { b: [1, 2] }, { c: ']}' }].map((event) => memberOf(send(event)));
  assert.equal(new Set(members.map(batchKey)).size, 1);
  assert.deepEqual(JSON.parse(Buffer.from(mergeBodies(members)).toString()), {
    key: 'schlüssel',
    events: [{ a: 'ä' }, { b: [1, 2] }, { c: ']}' }],
  });
});

test('a batch of any events holds exactly them', () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue(), { minLength: 1, maxLength: 20 }), (events) => {
      const merged = mergeBodies(events.map((event) => memberOf(send(event))));
      assert.deepEqual(JSON.parse(Buffer.from(merged).toString()).events, JSON.parse(JSON.stringify(events)));
    }),
  );
});

test('another address, header or frame keeps events apart, and so does a request with no frame', () => {
  const one = memberOf(send({ a: 1 }));
  const others = [
    batchTo(postJson(`${endpoint}?b=1`), '{"key":"schlüssel","events":[', ']}'),
    batchTo(postJson(endpoint, { Authorization: 'x' }), '{"key":"schlüssel","events":[', ']}'),
    batchTo(postJson(endpoint), '{"key":"schlússel","events":[', ']}'),
    batchTo(postJson(endpoint), '{"key":"schlüssel","events":[', '],"x":1}'),
  ].map((other) => batchKey(memberOf(other({ a: 1 }))));
  assert.equal(new Set([batchKey(one), ...others]).size, 5);
  assert.equal(batchKey({ request: postJson(endpoint), body: Buffer.from('{}') }), undefined);
});

test('success and "later" are for all, a refusal sends each one alone', () => {
  const rules = { eventsMax: 10, bytesMax: 1000 };
  assert.deepEqual(batchVerdicts(rules, 200, 'ok', 2), [
    { kind: 'ended', code: 200 },
    { kind: 'ended', code: 200 },
  ]);
  for (const code of [0, 408, 429, 500, 504])
    assert.deepEqual(batchVerdicts(rules, code, '', 1), [{ kind: 'ended', code }]);
  assert.deepEqual(batchVerdicts(rules, 400, 'bad', 2), [{ kind: 'alone' }, { kind: 'alone' }]);
  assert.deepEqual(batchVerdicts(rules, 400, 'bad', 1), [{ kind: 'ended', code: 400 }]);
});

test('an answer that names events is only about them', () => {
  const named = new Map([[1, 'no time']]);
  assert.deepEqual(verdictsByIndex(named, { code: 400, rest: { kind: 'again' }, count: 3 }), [
    { kind: 'again' },
    { kind: 'ended', code: 400, reason: 'no time' },
    { kind: 'again' },
  ]);
  assert.equal(verdictsByIndex(new Map([[7, 'x']]), { code: 400, rest: { kind: 'again' }, count: 3 }), undefined);
});

test('the rules of a type are found by its definition, whatever its case', () => {
  const definition = { id: 'x', name: 'Segment', displayName: 'Segment', config: {} };
  assert.equal(batchRulesOf(makeDestination('d', { destinationDefinition: definition }))?.eventsMax, 2500);
  assert.equal(batchRulesOf(makeDestination('d')), undefined);
});

test('whatever a vendor answers, every event gets one verdict', () => {
  const index = fc.oneof(fc.integer({ min: -2, max: 6 }), fc.jsonValue({ maxDepth: 1 }));
  const record = fc.dictionary(fc.constantFrom('index', 'batch_index', 'field', 'message', 'reason'), index);
  const named = fc.oneof(
    fc.array(fc.oneof(index, record)),
    fc.dictionary(fc.string(), fc.oneof(fc.array(index), index)),
  );
  const keys = [
    'failed_records',
    'errors',
    'silenced_events',
    'events_with_invalid_fields',
    'events_with_missing_fields',
  ];
  const answer = fc
    .oneof(fc.dictionary(fc.constantFrom(...keys), named), fc.jsonValue())
    .map((body) => JSON.stringify(body));
  const code = fc.constantFrom(0, 200, 207, 400, 401, 413, 429, 503);
  for (const { name, batch } of destinationTypes) {
    if (batch === undefined) continue;
    fc.assert(
      fc.property(code, fc.oneof(answer, fc.string()), fc.integer({ min: 1, max: 5 }), (status, text, count) => {
        const verdicts = batchVerdicts(batch, status, text, count);
        assert.equal(verdicts.length, count, name);
        for (const verdict of verdicts) {
          if (verdict.kind === 'ended') assert.ok(Number.isInteger(verdict.code) && verdict.reason !== '');
          // Alone it would be sent for ever.
          else assert.ok(count > 1 || verdict.kind !== 'alone', name);
        }
        // Somebody must be at fault, or nobody would ever get through.
        assert.ok(
          verdicts.some(({ kind }) => kind !== 'again'),
          name,
        );
      }),
    );
  }
});
