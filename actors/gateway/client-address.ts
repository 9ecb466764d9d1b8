// Whose request it is. A proxy appends the address it was called from to X-Forwarded-For, so the header is believed from
// right to left, as long as it was written by proxies of ours: the first address that is none of them is the client's.
// What stands left of it was sent by the client, who may write there whatever he likes.

import { BlockList, isIP } from 'node:net';
import type { HttpRequest } from '../../transport/index.ts';
import { sanitise } from './event-text.ts';

/** What a list of proxies must look like; completes the sentence "expected …". */
export const trustedProxiesExpected = 'addresses and subnets like 10.0.0.0/8,192.168.1.7,fd00::/8';

/** Hops that are looked at; a longer header is not a real one. */
const hopsMax = 32;

/** Undefined when the text is no list of addresses and subnets. */
export function parseProxies(setting: string): BlockList | undefined {
  const list = new BlockList();
  for (const entry of setting.split(',').map((text) => text.trim())) {
    if (entry === '') continue;
    const [address = '', bits] = entry.split('/');
    const version = isIP(address);
    if (version === 0) return undefined;
    const family = version === 6 ? 'ipv6' : 'ipv4';
    const length = Number(bits ?? (version === 6 ? 128 : 32));
    if (bits === '' || !Number.isInteger(length) || length < 0 || length > (version === 6 ? 128 : 32)) return undefined;
    list.addSubnet(address, length, family);
  }
  return list;
}

/** Longer ones are none; every event of a request carries its address. */
const addressCharactersMax = 64;

export class ClientAddresses {
  readonly #proxies: BlockList;
  /** Requests of one client often come in a row. */
  #lastPeer = '';
  #lastForwarded = '';
  #lastAddress = '';

  /** Trusts nobody where the setting is not a good one: settings are checked before they are used. */
  constructor(trustedProxies: string) {
    this.#proxies = parseProxies(trustedProxies) ?? new BlockList();
  }

  of(request: Pick<HttpRequest, 'remoteAddress' | 'header'>): string {
    const peer = request.remoteAddress;
    const forwarded = request.header('x-forwarded-for');
    if (forwarded === '') return peer;
    if (peer !== this.#lastPeer || forwarded !== this.#lastForwarded) {
      this.#lastAddress = this.#look(peer, forwarded);
      this.#lastPeer = peer;
      this.#lastForwarded = forwarded;
    }
    return this.#lastAddress;
  }

  #look(peer: string, forwarded: string): string {
    let address = peer;
    const hops = forwarded.split(',').slice(-hopsMax);
    while (this.#isProxy(address)) {
      // What stands before our proxies' own entries is anybody's text.
      const hop = sanitise((hops.pop()?.trim() ?? '').slice(0, addressCharactersMax));
      if (hop === '') return address;
      address = withoutPort(hop);
    }
    return address;
  }

  #isProxy(address: string): boolean {
    const version = isIP(address);
    return version !== 0 && this.#proxies.check(address, version === 6 ? 'ipv6' : 'ipv4');
  }
}

/** Some proxies write `1.2.3.4:5678` or `[2001:db8::1]:5678`. */
function withoutPort(hop: string): string {
  const [, bracketed] = /^\[(.+)\](?::\d+)?$/.exec(hop) ?? [];
  if (bracketed !== undefined) return bracketed;
  const [, address = hop] = /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(hop) ?? [];
  return address;
}
