// Keeps requests to addresses that customers chose out of the network we stand in: this machine, the private networks
// around it, the cloud's metadata service. A name is judged by what it resolves to, at the moment a connection is made
// and with the very addresses it is made to, so that a name which changes its mind in between gains nothing. An address
// written in a URL is judged in the form the URL parser gives it, which undoes octal, hex and short forms.

import { type LookupAddress, type LookupAllOptions, lookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { TransportError } from './errors.ts';

/** Networks nobody outside may make us talk to: IANA's special-purpose registries, with multicast and class E. */
const closedNetworks: readonly string[] = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  '::/96',
  '64:ff9b::/96',
  '64:ff9b:1::/48',
  '100::/64',
  '2001::/23',
  '2001:db8::/32',
  '2002::/16',
  '3fff::/20',
  '5f00::/16',
  'fc00::/7',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
];

export interface EgressGuard {
  /** Why a request to this host (as in a parsed URL) is refused before anything is resolved; undefined when it is not. */
  refuses(hostname: string): TransportError | undefined;
  /** For the socket: resolves a name to the addresses that may be talked to, or fails with EGRESS_DENIED. */
  readonly lookup: LookupFunction;
}

/** The system's resolver, unless a test has another one. */
export type Resolve = (
  hostname: string,
  options: LookupAllOptions,
  done: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

export interface EgressRules {
  /** `private`: every network; otherwise addresses, networks (CIDR), host names, `.example.org` for all names below. */
  allow: readonly string[];
}

/** What is wrong with an entry of `allow`, to complete "expected …"; undefined when it is a good one. */
export function egressRuleProblem(entry: string): string | undefined {
  if (entry === 'private' || isHostRule(entry) || parseNetwork(entry) !== undefined) return undefined;
  return `"private", an address, a network like 10.0.0.0/8 or a host name, got ${JSON.stringify(entry)}`;
}

/** Throws when a rule is not a good one: check them with `egressRuleProblem` where they come from people. */
export function createEgressGuard({ allow }: EgressRules, resolve: Resolve = lookup): EgressGuard {
  const open = new BlockList();
  const hosts = new Set<string>();
  for (const entry of allow) {
    const problem = egressRuleProblem(entry);
    if (problem !== undefined) throw new Error(`expected ${problem}`);
    const network = parseNetwork(entry);
    if (network !== undefined) open.addSubnet(network.address, network.prefix, network.family);
    else hosts.add(entry.toLowerCase());
  }
  const isAllowed = (address: string): boolean =>
    hosts.has('private') || !contains(closed, address) || contains(open, address);
  const isAllowedName = (name: string): boolean => hosts.has('private') || isNamed(hosts, name.toLowerCase());
  return {
    refuses: (hostname) => {
      const address = hostname.replace(/^\[|\]$/g, '');
      if (isIP(address) === 0 || isAllowed(address)) return undefined;
      return denied(address, address);
    },
    lookup: (hostname, options, done) => {
      resolve(hostname, { ...options, all: true }, (error, addresses) => {
        if (error !== null) {
          done(error, []);
          return;
        }
        const allowed = isAllowedName(hostname) ? addresses : addresses.filter(({ address }) => isAllowed(address));
        const [first] = allowed;
        if (first === undefined) done(denied(hostname, addresses[0]?.address ?? ''), []);
        else if (options.all === true) done(null, allowed);
        else done(null, first.address, first.family);
      });
    },
  };
}

const closed = new BlockList();
for (const entry of closedNetworks) {
  const network = parseNetwork(entry);
  if (network !== undefined) closed.addSubnet(network.address, network.prefix, network.family);
}

function denied(host: string, address: string): TransportError {
  const where = host === address ? address : `${host} (${address})`;
  // Retryable: whoever runs the program may open the network, and no event should be lost until then.
  return new TransportError('EGRESS_DENIED', `${where} is in a network that deliveries may not reach (egress.allow)`, {
    retryable: true,
  });
}

function contains(list: BlockList, address: string): boolean {
  const bare = address.split('%', 1)[0] ?? address;
  const family = isIP(bare);
  return family !== 0 && list.check(bare, family === 6 ? 'ipv6' : 'ipv4');
}

function isNamed(rules: ReadonlySet<string>, hostname: string): boolean {
  if (rules.has(hostname)) return true;
  for (let dot = hostname.indexOf('.'); dot >= 0; dot = hostname.indexOf('.', dot + 1)) {
    if (rules.has(hostname.slice(dot))) return true;
  }
  return false;
}

function isHostRule(entry: string): boolean {
  return isIP(entry) === 0 && /^\.?(?=[a-z0-9.-]*[a-z])[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(entry);
}

function parseNetwork(entry: string): { address: string; prefix: number; family: 'ipv4' | 'ipv6' } | undefined {
  const [address = '', prefix, ...rest] = entry.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return undefined;
  const bits = family === 4 ? 32 : 128;
  const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1;
  if (length < 0 || length > bits) return undefined;
  return { address, prefix: length, family: family === 4 ? 'ipv4' : 'ipv6' };
}
