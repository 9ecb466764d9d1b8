// Bodies of all kinds, broken, packed, cut and sent in pieces, over real HTTP and on both engines: what is stored is what
// JSON.parse would have read, nothing else gets in, and every request is answered.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { requestBytes, setup } from '../support/gateway-fixture.ts';
import { httpEngines } from '../support/http-engines.ts';

const nested = (depth: number) => `{"userId":"u","a":${'['.repeat(depth)}${']'.repeat(depth)}}`;
const texts = fc.oneof(
  fc.record({ userId: fc.string({ unit: 'grapheme' }), a: fc.jsonValue() }).map((event) => JSON.stringify(event)),
  fc.constantFrom(
    '{"userId":"u","a":"\\ud800","b":"\\u0000","c":1e400,"d":123456789012345678901234567890}',
    '{"userId":"x","userId":"y","user\\u0049d":"z"}',
    '{"userId":"\\udc00\\ud800"}',
    nested(500),
    nested(600),
    '{"userId":1e999}',
    '{"userId":{"__proto__":1}}',
  ),
);
const bodies = fc.record({
  text: texts,
  /** Bytes set to something else. */
  damage: fc.array(fc.record({ at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }) }), { maxLength: 2 }),
  packed: fc.boolean(),
  /** Share of the bytes that are sent as the body. */
  kept: fc.oneof(
    { weight: 3, arbitrary: fc.constant(1) },
    { weight: 1, arbitrary: fc.double({ min: 0.1, max: 1, noNaN: true }) },
  ),
  cuts: fc.array(fc.nat(), { maxLength: 4 }),
});

/** The event's user as the gateway should store it; undefined when it should not. */
function userIn(body: Buffer, packed: boolean): string | undefined {
  try {
    const bytes = packed ? gunzipSync(body) : body;
    const event: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
    if (typeof event !== 'object' || event === null || Array.isArray(event)) return undefined;
    const { userId, anonymousId } = event as Record<string, unknown>;
    return userId === undefined && anonymousId === undefined ? undefined : JSON.stringify(userId);
  } catch {
    return undefined;
  }
}

/** What is left of such an id is nothing. */
function isEmptyId(id: unknown): boolean {
  return id === null || (typeof id === 'string' && id.replaceAll('\0', '').trim() === '');
}

for (const engine of httpEngines) {
  describe(`the gateway on ${engine}`, () => {
    test('stores what JSON.parse reads, however it comes', async (t) => {
      const { connect, storage } = await setup(t, engine);
      const property = fc.asyncProperty(bodies, async ({ text, damage, packed, kept, cuts }) => {
        const plain = Buffer.from(text);
        for (const { at, byte } of damage) plain[at % plain.byteLength] = byte;
        const whole = packed ? gzipSync(plain) : plain;
        const body = whole.subarray(0, Math.max(1, Math.floor(whole.byteLength * kept)));
        const headers: Record<string, string> = packed ? { 'Content-Encoding': 'gzip' } : {};
        const bytes = requestBytes('/v1/track', { body, headers });
        storage.stored.length = 0;
        const client = await connect();
        let from = 0;
        for (const cut of cuts.map((at) => at % bytes.byteLength).sort((a, b) => a - b)) {
          await client.send(bytes.subarray(from, cut));
          from = cut;
        }
        await client.send(bytes.subarray(from));
        const response = await client.response();
        client.destroy();
        const expected = userIn(body, packed);
        if (response?.status === 200) {
          const [job] = storage.stored;
          const stored = JSON.parse(Buffer.from(job?.payload ?? []).toString());
          assert.equal(JSON.stringify(stored.userId), expected);
          assert.doesNotMatch(job?.userId ?? '', /\0|\p{Surrogate}/u);
        } else {
          assert.ok(response?.status === 400 || response?.status === 500, `got ${response?.status}`);
          assert.equal(storage.stored.length, 0);
          const isDeep = text.includes('['.repeat(600));
          const isNobody = expected !== undefined && isEmptyId(JSON.parse(expected));
          assert.ok(expected === undefined || isDeep || isNobody, `refused ${text} with ${response.body}`);
        }
      });
      await fc.assert(property, { numRuns: 200 });
    });
  });
}
