// Ids as the reference reads them: trimmed, stringified, and free of what Postgres text refuses.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cleanText, idText, rudderIdOf, stringText } from '../../../actors/gateway/event-text.ts';

function idOf(json: string): string {
  const bytes = Buffer.from(json);
  return idText(bytes, 0, bytes.byteLength);
}

test('stringifies every kind of value', () => {
  assert.equal(idOf('" a b\\t"'), 'a b');
  assert.equal(idOf('12345678901234567890123'), '12345678901234567890123');
  assert.equal(idOf('-7'), '-7');
  assert.equal(idOf('1.50'), '1.5');
  assert.equal(idOf('1e3'), '1000');
  assert.equal(idOf('true'), 'true');
  assert.equal(idOf('false'), 'false');
  assert.equal(idOf('null'), '');
  assert.equal(idOf('{ "a" : [1] }'), '{"a":[1]}');
  assert.equal(idText(Buffer.from('"a"'), 0, 0), '');
});

test('takes a message id from strings only', () => {
  const textOf = (json: string) => stringText(Buffer.from(json), 0, Buffer.byteLength(json));
  assert.equal(textOf('"\\u0020m\\u00e9 "'), 'mé');
  assert.equal(textOf('5'), '');
  assert.equal(textOf('null'), '');
});

test('drops U+0000 and mends lone surrogates, and nothing else', () => {
  assert.equal(idOf('"\\u0000 a\\u0000b \\u0000"'), 'ab');
  assert.equal(idOf('"\\ud800x\\udc00"'), '\ufffdx\ufffd');
  assert.equal(idOf('"\\ud83d\\ude00"'), '😀');
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const id = idOf(JSON.stringify(text));
      assert.ok(!id.includes('\u0000'));
      assert.equal(Buffer.from(id).toString(), id, 'expected text that survives UTF-8');
      assert.equal(id, Buffer.from(text).toString().replaceAll('\u0000', '').trim());
    }),
  );
});

test('changes a raw text exactly when there is something to do', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const raw = JSON.stringify(text).slice(1, -1);
      const clean = cleanText(raw);
      assert.equal(clean === raw, raw === text && text === text.trim());
    }),
  );
});

test('makes the same rudderId as the reference: the MD5 of both ids as a UUID', () => {
  assert.equal(rudderIdOf('u1', '7'), '1df2690b-6b7e-b6ba-e7a8-9b2a51135687');
  assert.notEqual(rudderIdOf('a', 'b'), rudderIdOf('b', 'a'));
});
