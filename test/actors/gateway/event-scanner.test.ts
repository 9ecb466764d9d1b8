// The scanner against JSON.parse: same inputs accepted, same values found, on written cases and on random ones.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { EventScanner, eventsMax, field, fieldNames } from '../../../actors/gateway/event-scanner.ts';
import { nestingMax } from '../../../actors/gateway/json-grammar.ts';

const scanner = new EventScanner();

function parses(bytes: Buffer): boolean {
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
    return true;
  } catch {
    return false;
  }
}

function isAccepted(bytes: Buffer): boolean {
  const single = scanner.scan(bytes, 'single') !== 'invalidJson';
  const batch = scanner.scan(bytes, 'batch') !== 'invalidJson';
  assert.equal(single, batch, 'expected both shapes to agree on what JSON is');
  return single;
}

/** The fields the scanner found in one event, decoded. */
function fieldsFound(bytes: Buffer, event: number): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const number of Object.values(field)) {
    const end = scanner.valueEnd(event, number);
    if (end === 0) continue;
    found[fieldNames[number] ?? ''] = JSON.parse(bytes.toString('utf8', scanner.valueStart(event, number), end));
  }
  return found;
}

function fieldsExpected(event: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(event).filter(([name]) => fieldNames.includes(name)));
}

const keys = fc.oneof(fc.constantFrom(...fieldNames, 'batch', 'tYpe', 'types', ''), fc.string({ unit: 'grapheme' }));
const events = fc.dictionary(keys, fc.jsonValue({ maxDepth: 3, stringUnit: 'grapheme' }), { noNullPrototype: true });

/** JSON text with random white space, escapes instead of letters, and members written twice. */
function noisyJson(value: unknown, next: () => number): string {
  const space = () => ['', '', '', ' ', '\n', '\t\r'][next() % 6] ?? '';
  // Only plain words are respelled: in others a letter may belong to an escape.
  const respell = (letter: string) =>
    next() % 9 === 0 ? `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}` : letter;
  const text = (raw: string) => (/^[a-z_]*$/i.test(raw) ? `"${raw.replace(/./g, respell)}"` : JSON.stringify(raw));
  if (Array.isArray(value))
    return `[${space()}${value.map((item) => noisyJson(item, next)).join(`${space()},${space()}`)}${space()}]`;
  if (typeof value === 'string') return text(value);
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).flatMap(([name, item]) => {
    const member = `${text(name)}${space()}:${space()}${noisyJson(item, next)}`;
    return next() % 5 === 0 ? [`${text(name)}:[0.5e-1,{"type":{}}]`, member] : [member];
  });
  return `{${space()}${members.join(`${space()},${space()}`)}${space()}}`;
}

/** Half of the texts without control characters: strings are skipped in another way then. */
function eventText(event: unknown, next: () => number): string {
  const text = noisyJson(event, next);
  return next() % 2 === 0 ? text : text.replace(/[\n\r\t]/g, ' ');
}

const noise = fc.infiniteStream(fc.nat(1000)).map((stream) => () => stream.next().value ?? 0);

describe('accepting', () => {
  const accepted = [
    '{}',
    ' {"a":1} ',
    '{"a":-0.0e+0}',
    '[1,2]',
    '"\\ud800"',
    '{"a":"\\u0000"}',
    'null',
    '1E5',
    '{"":""}',
    '[[],{}]',
  ];
  const rejected = [
    '',
    ' ',
    '{',
    '}',
    '{"a"}',
    '{"a":}',
    '{"a":1,}',
    '{,}',
    '[1,]',
    '01',
    '-',
    '1.',
    '.5',
    '1e',
    '+1',
    'nul',
    'truex',
    'NaN',
    "{'a':1}",
    '{"a":1}}',
    '{} {}',
    '"\n"',
    '"\\x"',
    '"\\u12g4"',
    '"abc',
    '\ufeff{}',
    '{"a":1 "b":2}',
    '[1 2]',
    '{1:2}',
    '/**/{}',
    '\u00a0{}',
    '"\\',
  ];
  for (const text of accepted) {
    test(`accepts ${JSON.stringify(text)}`, () => {
      assert.ok(parses(Buffer.from(text)));
      assert.ok(isAccepted(Buffer.from(text)));
    });
  }
  for (const text of rejected) {
    test(`rejects ${JSON.stringify(text)}`, () => {
      assert.ok(!parses(Buffer.from(text)));
      assert.ok(!isAccepted(Buffer.from(text)));
    });
  }

  test('rejects every truncation of an event', () => {
    const whole = Buffer.from('{"a":[true,false,null,-1.5e+3,"\\u00e9\\n"],"b":{"c":{}}}');
    assert.ok(isAccepted(whole));
    for (let length = 0; length < whole.byteLength; length += 1) assert.ok(!isAccepted(whole.subarray(0, length)));
  });

  test('rejects bytes that are not UTF-8', () => {
    assert.ok(!isAccepted(Buffer.from([0x22, 0xc3, 0x22])));
    assert.ok(!isAccepted(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])));
  });

  test('rejects what is nested deeper than its limit, and nothing less deep', () => {
    const nested = (depth: number) => Buffer.from(`${'['.repeat(depth)}${']'.repeat(depth)}`);
    assert.ok(isAccepted(nested(nestingMax)));
    assert.ok(!isAccepted(nested(nestingMax + 1)));
    const mixed = (depth: number) => Buffer.from(`{"batch":[{"a":${'['.repeat(depth)}${']'.repeat(depth)}}]}`);
    assert.ok(isAccepted(mixed(nestingMax - 3)));
    assert.ok(!isAccepted(mixed(nestingMax - 2)));
    assert.ok(!isAccepted(Buffer.from('['.repeat(4_000_000))));
  });

  test('agrees with JSON.parse on any JSON value', () => {
    fc.assert(fc.property(fc.json({ stringUnit: 'binary' }), (text) => isAccepted(Buffer.from(text))));
  });

  test('agrees with JSON.parse on any bytes', () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => isAccepted(Buffer.from(bytes)) === parses(Buffer.from(bytes))));
  });

  test('agrees with JSON.parse on text made of JSON tokens', () => {
    const token = fc.constantFrom(
      ...'{}[],:"\\ \n\t0123456789-+.eEtfnu/'.split(''),
      'true',
      'false',
      'null',
      '"a"',
      '\\u00e9',
      '\\',
      '1e5',
      '-0',
      '{"a":',
      ',"b":',
      'é',
    );
    const texts = fc.array(token, { maxLength: 12 }).map((tokens) => Buffer.from(tokens.join('')));
    fc.assert(
      fc.property(texts, (bytes) => isAccepted(bytes) === parses(bytes)),
      { numRuns: 3_000 },
    );
  });

  test('agrees with JSON.parse on mutated events', () => {
    const mutations = fc.array(fc.record({ at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }), cut: fc.boolean() }), {
      minLength: 1,
      maxLength: 3,
    });
    fc.assert(
      fc.property(events, noise, mutations, (event, next, changes) => {
        const bytes = [...Buffer.from(eventText(event, next))];
        for (const { at, byte, cut } of changes) bytes.splice(at % bytes.length, 1, ...(cut ? [] : [byte]));
        return isAccepted(Buffer.from(bytes)) === parses(Buffer.from(bytes));
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('skipping strings', () => {
  const text = '{"a":"0123456789","b":"c"}';

  test('refuses a control character wherever it stands in memory', () => {
    const inside = Array.from(text, (_, at) => at).filter((at) => /[0-9a-c]/.test(text[at] ?? ''));
    for (let offset = 0; offset < 8; offset += 1) {
      const memory = Buffer.alloc(text.length + 8, '!');
      const bytes = memory.subarray(offset, offset + text.length);
      bytes.write(text);
      assert.ok(isAccepted(bytes));
      for (const at of inside) {
        for (const byte of [0x00, 0x0a, 0x1f]) {
          bytes.write(text);
          bytes[at] = byte;
          assert.ok(!isAccepted(bytes), `byte ${byte} at ${at}, offset ${offset}`);
        }
      }
    }
  });

  test('does not end a string of a subarray with a quote behind it', () => {
    const memory = Buffer.from('{"a":"b"}');
    assert.ok(!isAccepted(memory.subarray(0, 7)));
    assert.ok(isAccepted(memory));
  });

  test('finds a field named with an escape after other escapes', () => {
    const bytes = Buffer.from('{"user\\u0049d":"u","x":"\\"","\\u0074ype":"t","message\\u0049d":"m"}');
    assert.equal(scanner.scan(bytes, 'single'), 'events');
    assert.deepEqual(fieldsFound(bytes, 0), { userId: 'u', type: 't', messageId: 'm' });
  });
});

describe('finding', () => {
  test('finds the same top-level fields as JSON.parse in a single event', () => {
    fc.assert(
      fc.property(events, noise, (event, next) => {
        const bytes = Buffer.from(eventText(event, next));
        assert.equal(scanner.scan(bytes, 'single'), 'events');
        assert.equal(scanner.count, 1);
        assert.equal(bytes.toString('utf8', scanner.start(0), scanner.end(0)), bytes.toString().trim());
        assert.deepEqual(fieldsFound(bytes, 0), fieldsExpected(JSON.parse(bytes.toString())));
      }),
      { numRuns: 1_000 },
    );
  });

  test('finds the same events as JSON.parse in a batch', () => {
    const wrappers = fc.record({
      before: events,
      batch: fc.array(events, { minLength: 1, maxLength: 5 }),
      after: fc.jsonValue(),
    });
    fc.assert(
      fc.property(wrappers, noise, (wrapper, next) => {
        const bytes = Buffer.from(noisyJson(wrapper, next));
        assert.equal(scanner.scan(bytes, 'batch'), 'events');
        const { batch } = JSON.parse(bytes.toString()) as { batch: Record<string, unknown>[] };
        assert.equal(scanner.count, batch.length);
        batch.forEach((event, index) => {
          assert.deepEqual(JSON.parse(bytes.toString('utf8', scanner.start(index), scanner.end(index))), event);
          assert.deepEqual(fieldsFound(bytes, index), fieldsExpected(event));
        });
      }),
      { numRuns: 1_000 },
    );
  });

  test('takes the last of several members with the same name, however it is spelled', () => {
    const bytes = Buffer.from('{"userId":"a","user\\u0049d":{"userId":"x"},"\\u0075serId":"b","type":1}');
    assert.equal(scanner.scan(bytes, 'single'), 'events');
    assert.deepEqual(fieldsFound(bytes, 0), { userId: 'b', type: 1 });
  });

  test('takes the last of several batches', () => {
    const scan = (text: string) => scanner.scan(Buffer.from(text), 'batch');
    assert.equal(scan('{"batch":[{},{}],"b\\u0061tch":[{"type":"a"}]}'), 'events');
    assert.equal(scanner.count, 1);
    assert.equal(scan('{"batch":[7],"batch":[{}]}'), 'events');
    assert.equal(scan('{"batch":[{}],"batch":7}'), 'notAnEvent');
    assert.equal(scan('{"batch":[{}],"batch":[]}'), 'emptyBatch');
  });

  test('tells what is wrong with JSON that holds no events', () => {
    const scan = (text: string, shape: 'single' | 'batch') => scanner.scan(Buffer.from(text), shape);
    assert.equal(scan('[]', 'single'), 'notAnEvent');
    assert.equal(scan('"a"', 'single'), 'notAnEvent');
    assert.equal(scan('{"a":1}', 'batch'), 'emptyBatch');
    assert.equal(scan('{"batch":[]}', 'batch'), 'emptyBatch');
    assert.equal(scan('{"batch":null}', 'batch'), 'emptyBatch');
    assert.equal(scan('[]', 'batch'), 'emptyBatch');
    assert.equal(scan('{"batch":{}}', 'batch'), 'notAnEvent');
  });

  test('records a stranger among the events and goes on behind it', () => {
    const bytes = Buffer.from('{"batch":[{"userId":"a"},5,{"userId":"b"}]}');
    assert.equal(scanner.scan(bytes, 'batch'), 'events');
    assert.equal(scanner.count, 3);
    assert.equal(bytes.toString('utf8', scanner.start(1), scanner.end(1)), '5');
    assert.deepEqual(fieldsFound(bytes, 2), { userId: 'b' });
  });

  test('keeps to nearer limits of events and depth', () => {
    const strict = new EventScanner({ eventsMax: 2, depthMax: 4 });
    const scan = (text: string) => strict.scan(Buffer.from(text), 'batch');
    assert.equal(scan('{"batch":[{},{}]}'), 'events');
    assert.equal(scan('{"batch":[{},{},{}]}'), 'tooManyEvents');
    assert.equal(scan('{"batch":[{"a":[]}]}'), 'events');
    assert.equal(scan('{"batch":[{"a":[[]]}]}'), 'invalidJson');
  });

  test('refuses more events than its limit', () => {
    const batchOf = (count: number) => Buffer.from(`{"batch":[${new Array(count).fill('{}').join(',')}]}`);
    assert.equal(scanner.scan(batchOf(eventsMax), 'batch'), 'events');
    assert.equal(scanner.count, eventsMax);
    assert.equal(scanner.scan(batchOf(eventsMax + 1), 'batch'), 'tooManyEvents');
    assert.equal(scanner.scan(batchOf(eventsMax * 2), 'batch'), 'tooManyEvents');
  });
});
