// Addresses of actors: a kind and a key, nothing else. They are plain data, so that they travel in messages and tables,
// and their hash is the only input of placement: it must be the same in every thread and every version.

export interface ActorAddress {
  readonly kind: string;
  readonly key: string;
}

/** Printed as `processor/ws1:src7`. A kind never contains a slash, a key may. */
export function formatAddress(address: ActorAddress): string {
  return `${address.kind}/${address.key}`;
}

export function parseAddress(text: string): ActorAddress {
  const slash = text.indexOf('/');
  if (slash < 1) throw new TypeError(`expected an address as kind/key, got ${JSON.stringify(text)}`);
  return { kind: text.slice(0, slash), key: text.slice(slash + 1) };
}

/** FNV-1a over the UTF-16 units of the printed address, finished like murmur3 so that near keys land far apart. */
export function hashAddress(kind: string, key: string): number {
  let hash = hashText(0x811c9dc5, kind);
  hash = Math.imul(hash ^ 0x2f, 0x01000193);
  return scramble(hashText(hash, key));
}

/** A bijection of 32-bit numbers in which every input bit changes about half of the output bits. */
export function scramble(value: number): number {
  let mixed = value >>> 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

function hashText(seed: number, text: string): number {
  let hash = seed;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    hash = Math.imul(hash ^ (unit & 0xff), 0x01000193);
    if (unit > 0xff) hash = Math.imul(hash ^ (unit >>> 8), 0x01000193);
  }
  return hash;
}
