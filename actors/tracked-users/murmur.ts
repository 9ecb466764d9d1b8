// MurmurHash3, the 128-bit form for 64-bit machines (Austin Appleby, public domain), of which the first 64 bits are used:
// the hash that sketches of users in the field are made with, so that ours can be put together with theirs. Written with
// 32-bit numbers, because BigInt would cost more than everything else that is done with an event here.

/** 64 bits as two unsigned halves. */
export interface Hash64 {
  high: number;
  low: number;
}

const c1 = { high: 0x87c37b91, low: 0x114253d5 };
const c2 = { high: 0x4cf5ad43, low: 0x2745937f };
const mix1 = { high: 0xff51afd7, low: 0xed558ccd };
const mix2 = { high: 0xc4ceb9fe, low: 0x1a85ec53 };
const blockBytes = 16;

export function murmur64(bytes: Uint8Array, seed: number): Hash64 {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let h1: Hash64 = { high: 0, low: seed >>> 0 };
  let h2: Hash64 = { high: 0, low: seed >>> 0 };
  const blocks = Math.floor(bytes.byteLength / blockBytes);
  for (let block = 0; block < blocks; block += 1) {
    const at = block * blockBytes;
    h1 = xor(h1, mixFirst(read(view, at)));
    h1 = addSmall(timesFive(add(rotate(h1, 27), h2)), 0x52dce729);
    h2 = xor(h2, mixSecond(read(view, at + 8)));
    h2 = addSmall(timesFive(add(rotate(h2, 31), h1)), 0x38495ab5);
  }
  const tail = blocks * blockBytes;
  const left = bytes.byteLength - tail;
  if (left > 8) h2 = xor(h2, mixSecond(readTail(bytes, tail + 8, left - 8)));
  if (left > 0) h1 = xor(h1, mixFirst(readTail(bytes, tail, Math.min(left, 8))));
  const length = { high: 0, low: bytes.byteLength };
  h1 = xor(h1, length);
  h2 = xor(h2, length);
  h1 = add(h1, h2);
  h2 = add(h2, h1);
  return add(finish(h1), finish(h2));
}

function mixFirst(k: Hash64): Hash64 {
  return multiply(rotate(multiply(k, c1), 31), c2);
}

function mixSecond(k: Hash64): Hash64 {
  return multiply(rotate(multiply(k, c2), 33), c1);
}

function finish(h: Hash64): Hash64 {
  h = multiply(xor(h, shift33(h)), mix1);
  h = multiply(xor(h, shift33(h)), mix2);
  return xor(h, shift33(h));
}

function read(view: DataView, at: number): Hash64 {
  return { low: view.getUint32(at, true), high: view.getUint32(at + 4, true) };
}

function readTail(bytes: Uint8Array, at: number, count: number): Hash64 {
  let low = 0;
  let high = 0;
  for (let index = 0; index < count; index += 1) {
    const byte = bytes[at + index] ?? 0;
    if (index < 4) low |= byte << (8 * index);
    else high |= byte << (8 * (index - 4));
  }
  return { low: low >>> 0, high: high >>> 0 };
}

function xor(a: Hash64, b: Hash64): Hash64 {
  return { high: (a.high ^ b.high) >>> 0, low: (a.low ^ b.low) >>> 0 };
}

function add(a: Hash64, b: Hash64): Hash64 {
  const low = a.low + b.low;
  return { high: (a.high + b.high + (low > 0xffffffff ? 1 : 0)) >>> 0, low: low >>> 0 };
}

function addSmall(a: Hash64, small: number): Hash64 {
  return add(a, { high: 0, low: small });
}

function timesFive(a: Hash64): Hash64 {
  return add(add(add(a, a), add(a, a)), a);
}

function rotate(a: Hash64, bits: number): Hash64 {
  if (bits >= 32) return rotate({ high: a.low, low: a.high }, bits - 32);
  if (bits === 0) return a;
  return {
    high: ((a.high << bits) | (a.low >>> (32 - bits))) >>> 0,
    low: ((a.low << bits) | (a.high >>> (32 - bits))) >>> 0,
  };
}

/** Shifted to the right by 33. */
function shift33(a: Hash64): Hash64 {
  return { high: 0, low: a.high >>> 1 };
}

/** The lower 64 bits of the product; halves of 16 bits keep every sum exact. */
function multiply(a: Hash64, b: Hash64): Hash64 {
  const a0 = a.low & 0xffff;
  const a1 = a.low >>> 16;
  const b0 = b.low & 0xffff;
  const b1 = b.low >>> 16;
  const low = a0 * b0;
  const middle = a1 * b0 + (low >>> 16);
  const cross = a0 * b1 + (middle & 0xffff);
  const carried = a1 * b1 + Math.floor(middle / 0x10000) + Math.floor(cross / 0x10000);
  const high = (carried + Math.imul(a.low, b.high) + Math.imul(a.high, b.low)) >>> 0;
  return { high, low: (((cross & 0xffff) << 16) | (low & 0xffff)) >>> 0 };
}
