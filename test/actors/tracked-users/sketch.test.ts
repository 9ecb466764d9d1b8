// How many users there are: within 2 % of the truth from one to a million, the same whoever counted which part, and in
// the form and with the hash of the field.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { murmur64 } from '../../../actors/tracked-users/murmur.ts';
import { registerOf, Sketch } from '../../../actors/tracked-users/sketch.ts';

function hashOf(text: string, seed = 0): string {
  const { high, low } = murmur64(Buffer.from(text), seed);
  return high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0');
}

/** The same by the algorithm's definition, in 64-bit integers. */
function slowHash(bytes: Buffer, seed: bigint): bigint {
  const cut = (value: bigint): bigint => BigInt.asUintN(64, value);
  const rotate = (value: bigint, bits: bigint): bigint => cut((value << bits) | (value >> (64n - bits)));
  const mix = (value: bigint, a: bigint, bits: bigint, b: bigint): bigint => cut(rotate(cut(value * a), bits) * b);
  const [c1, c2] = [0x87c37b91114253d5n, 0x4cf5ad432745937fn];
  let [h1, h2] = [seed, seed];
  const padded = Buffer.concat([bytes, Buffer.alloc(16)]);
  const whole = bytes.byteLength - (bytes.byteLength % 16);
  for (let at = 0; at < whole; at += 16) {
    h1 = cut((rotate(h1 ^ mix(padded.readBigUInt64LE(at), c1, 31n, c2), 27n) + h2) * 5n + 0x52dce729n);
    h2 = cut((rotate(h2 ^ mix(padded.readBigUInt64LE(at + 8), c2, 33n, c1), 31n) + h1) * 5n + 0x38495ab5n);
  }
  h2 ^= mix(padded.readBigUInt64LE(whole + 8), c2, 33n, c1);
  h1 ^= mix(padded.readBigUInt64LE(whole), c1, 31n, c2);
  const end = (value: bigint): bigint => {
    for (const factor of [0xff51afd7ed558ccdn, 0xc4ceb9fe1a85ec53n]) value = cut((value ^ (value >> 33n)) * factor);
    return value ^ (value >> 33n);
  };
  const length = BigInt(bytes.byteLength);
  h1 = cut((h1 ^ length) + (h2 ^ length));
  h2 = cut((h2 ^ length) + h1);
  return cut(end(h1) + end(h2));
}

test('the hash is MurmurHash3, x64, 128 bits: published values, and its definition for any text', () => {
  assert.equal(hashOf(''), '0000000000000000');
  assert.equal(hashOf('hello'), 'cbd8a7b341bd9b02');
  assert.equal(hashOf('hello, world'), '342fac623a5ebc8e');
  assert.equal(hashOf('The quick brown fox jumps over the lazy dog.'), 'cd99481f9ee902c9');
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 70 }), fc.nat(), (bytes, seed) => {
      const { high, low } = murmur64(bytes, seed);
      assert.equal((BigInt(high) << 32n) | BigInt(low), slowHash(Buffer.from(bytes), BigInt(seed)));
    }),
    { seed: 1 },
  );
});

test('the estimate is within 2 % of the exact number, from one user to a million', () => {
  const sketch = new Sketch();
  let users = 0;
  assert.equal(sketch.estimate(), 0);
  for (const target of [1, 10, 100, 1_000, 10_000, 50_000, 100_000, 163_840, 200_000, 400_000, 1_000_000]) {
    for (; users < target; users += 1) sketch.set(registerOf(`user-${users}@example.com`));
    const error = Math.abs(sketch.estimate() - target) / target;
    assert.ok(error <= 0.02, `${target} users: ${sketch.estimate()}`);
  }
});

test('sketches of parts, put together in any order and through their changes, are the sketch of the whole', () => {
  const users = fc.array(fc.string({ maxLength: 20 }), { maxLength: 50 });
  fc.assert(
    fc.property(users, users, (first, second) => {
      const [a, b, whole, read] = [new Sketch(), new Sketch(), new Sketch(), new Sketch()];
      for (const user of first) a.set(registerOf(user));
      for (const user of second) b.set(registerOf(user));
      for (const user of [...first, ...second, ...first]) whole.set(registerOf(user));
      read.apply(Buffer.concat([b.changes(), a.changes()]));
      a.merge(b);
      assert.equal(a.hex(), whole.hex());
      assert.equal(read.hex(), whole.hex());
    }),
    { seed: 1, numRuns: 20 },
  );
});

test('the storage form has the parameters of the field, and five bits to a register from the highest on', () => {
  const sketch = new Sketch();
  assert.equal(sketch.hex(), '11907f');
  sketch.set(0 * 64 + 0b10001);
  sketch.set(1 * 64 + 0b11111);
  sketch.set(65_535 * 64 + 1);
  const hex = sketch.hex();
  assert.equal(hex.length, 2 * (3 + 40_960));
  assert.equal(hex.slice(0, 10), `14907f${Buffer.from([0b10001111, 0b11000000]).toString('hex')}`);
  assert.equal(hex.slice(-2), '01');
});
