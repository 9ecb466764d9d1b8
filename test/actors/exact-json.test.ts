// Numbers that no double holds: as long as nobody changed them, they are written as they came.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { printExactly, printMember } from '../../actors/processor/exact-json.ts';
import { replaceMembers } from '../../actors/processor/member-splice.ts';

const numberText = fc.oneof(
  fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).map(String),
  fc.constantFrom('-0', '1.10', '1e400', '-1E-400', '0.1000000000000000055511151231257827', '1e2'),
);
/** JSON text without white space, in which no name comes twice. */
const jsonText = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    numberText,
    fc.string().map((text) => JSON.stringify(text)),
    fc.constantFrom('true', 'false', 'null', '"\\u0041"', '"\\\\"'),
    fc.array(tie('value'), { maxLength: 4 }).map((items) => `[${items.join(',')}]`),
    fc.dictionary(fc.string(), tie('value'), { maxKeys: 4 }).map((table) => {
      const members = Object.entries(table).map(([name, value]) => `${JSON.stringify(name)}:${value}`);
      return `{${members.join(',')}}`;
    }),
  ),
})).value;

test('what nobody changed is printed as it came', () => {
  fc.assert(fc.property(jsonText, (text) => assert.equal(printExactly(` ${text}\n`, JSON.parse(text)), text)));
});

test('whatever became of it, what is printed parses to the value', () => {
  fc.assert(
    fc.property(jsonText, fc.jsonValue(), (text, json) => {
      const value: unknown = JSON.parse(JSON.stringify(json));
      assert.deepEqual(JSON.parse(printExactly(text, value)), value);
      const mixed = [JSON.parse(text), value, JSON.parse(text)];
      const printed = printExactly(`[${text}]`, mixed);
      assert.ok(printed.startsWith(`[${text},`), printed);
      assert.deepEqual(JSON.parse(printed)[1], value);
    }),
  );
});

test('a change keeps the numbers around it', () => {
  const text =
    '{ "id": 9007199254740993, "list": [1e400, {"a": -0, "b": 1.10}], "gone": 1, "\\u0041": 5, "__proto__": 1e2 }';
  const value = JSON.parse(text);
  value.list[1].a = 'new';
  delete value.gone;
  value.added = { n: 1 };
  const expected =
    '{"id":9007199254740993,"list":[1e400,{"a":"new","b":1.10}],"\\u0041":5,"__proto__":1e2,"added":{"n":1}}';
  assert.equal(printExactly(text, value), expected);
  assert.equal(printMember(text, 'id', value.id), '9007199254740993');
});

test('of members with the same name the last one is printed', () => {
  const text = '{"n":1,"n":9007199254740993}';
  assert.equal(printExactly(text, JSON.parse(text)), '{"n":9007199254740993}');
});

test('members are replaced where they stand, and everything else stays byte by byte', () => {
  const text = ' {"a" : [1e400, "]}\\"", {"sentAt": 1}],\n "sentAt" : {"x":[1,2]} , "b":-0,"s\\u0065ntAt":1.10 }';
  const replacedIn = (whole: string, value: Record<string, unknown>, name: string): string =>
    Buffer.concat(replaceMembers(Buffer.from(whole), value, [name])).toString();
  const replaced = replacedIn(text, { sentAt: 'now', b: 0 }, 'sentAt');
  assert.equal(replaced, ' {"a" : [1e400, "]}\\"", {"sentAt": 1}],\n "sentAt" : "now" , "b":-0,"s\\u0065ntAt":"now" }');
  fc.assert(
    fc.property(fc.dictionary(fc.string(), jsonText), fc.nat(9), (table, which) => {
      const names = Object.keys(table);
      const name = names[which % Math.max(1, names.length)] ?? 'none';
      const members = Object.entries(table).map(([key, value]) => `${JSON.stringify(key)}:${value}`);
      const expected = members.map((member, at) => (names[at] === name ? `${JSON.stringify(name)}:7` : member));
      assert.equal(replacedIn(`{${members.join(',')}}`, { [name]: 7 }, name), `{${expected.join(',')}}`);
    }),
  );
});
