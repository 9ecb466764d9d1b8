// What the program says once it runs: what was checked, where everything is, and what to try first. Pure text.

import type { LeaseStats } from './storage/contract.ts';

export interface BannerFacts {
  version: string;
  /** Texts of the start checks that passed, and of whatever else was checked on the way. */
  checks: readonly string[];
  dataDir: string;
  postgres: {
    version: string;
    /** Data directory of the embedded server, or host and database of another one; never with a password. */
    place: string;
    isEmbedded: boolean;
    fsync: string;
    synchronousCommit: string;
  };
  role: string;
  /** Which lanes are ours, and with how many processes they are shared. */
  lanes: string;
  /** Absent in a process that only delivers. `http`: the engine and why this one. */
  gateway?: { host: string; port: number; http: string };
  statusUrl: string;
  workspace: { path: string; sources: number; destinations: number };
  /** Only while the starter workspace is in use. */
  starter?: { writeKey: string; receiverPort: number };
  startMs: number;
}

export function startBanner(facts: BannerFacts): string {
  const { postgres, workspace, starter } = facts;
  const server = `PostgreSQL ${postgres.version}, ${postgres.isEmbedded ? 'embedded, in' : 'at'} ${postgres.place}`;
  const rows: [string, string][] = [
    ['checked', facts.checks.join('; ')],
    ['data', facts.dataDir],
    ['database', server],
    ['durability', durabilityText(postgres)],
    [
      'workspace',
      `${workspace.path} (${countOf(workspace.sources, 'source')}, ${countOf(workspace.destinations, 'destination')})`,
    ],
    ...(facts.gateway === undefined ? [] : [gatewayRow(facts.gateway)]),
    ['lanes', facts.lanes],
    ['status', facts.statusUrl],
  ];
  if (starter !== undefined) {
    rows.push(
      ['write key', starter.writeKey],
      ['receiver', `http://127.0.0.1:${starter.receiverPort}/ prints below what it is sent`],
    );
  }
  const width = Math.max(...rows.map(([name]) => name.length));
  const lines = rows.map(([name, text]) => `  ${name.padEnd(width)}  ${text}`);
  const title = `Sluice ${facts.version} ${doings[facts.role] ?? 'runs'} (started in ${(facts.startMs / 1000).toFixed(1)} s)`;
  const trial =
    starter === undefined || facts.gateway === undefined
      ? []
      : ['', 'Try it:', '', curlLine(gatewayUrl(facts.gateway), starter.writeKey)];
  return ['', title, '', ...lines, ...trial, '', 'Ctrl-C drains and stops.', ''].join('\n');
}

/** What a role does. */
const doings: Readonly<Record<string, string>> = {
  all: 'accepts events',
  gateway: 'accepts events for others to deliver',
  pipeline: 'delivers events',
};

function gatewayRow(gateway: NonNullable<BannerFacts['gateway']>): [string, string] {
  return ['gateway', `${gatewayUrl(gateway)} by ${gateway.http}`];
}

/** A list of numbers says little where there is only one lane. */
function ownedText(own: readonly number[], lanes: number): string {
  return lanes === 1 ? 'the only one is ours' : `${own.join(', ')} of ${lanes} are ours`;
}

export function lanesText({ lanes, members }: LeaseStats): string {
  const own = lanes.filter(({ state }) => state === 'owner').map(({ lane }) => lane);
  const ownText = own.length === 0 ? 'none of ours: standing by' : ownedText(own, lanes.length);
  return `${ownText} (${countOf(members, 'process', 'processes')})`;
}

/** The HTTP engine, and why this one. */
export function engineText(setting: string, gateway: { engine: string; fallbackReason: string }): string {
  return `${gateway.engine} (${engineReason(setting, gateway.fallbackReason)})`;
}

/** One line that a shell takes as it stands. */
export function curlLine(url: string, writeKey: string): string {
  const event = JSON.stringify({ userId: 'you', event: 'Hello Sluice', properties: { from: 'curl' } });
  return `  curl -u '${writeKey}:' -H 'Content-Type: application/json' -d '${event}' ${url}/v1/track`;
}

/** Why this engine serves HTTP; what hinders the faster one stands in the log at full length. */
export function engineReason(setting: string, fallbackReason: string): string {
  if (setting !== 'auto') return 'as configured';
  if (fallbackReason === '') return 'the fastest that loads';
  const [missing] = /GLIBC_[\d.]+/.exec(fallbackReason) ?? [];
  return `uWebSockets.js does not load here${missing === undefined ? '' : `: no ${missing}`}`;
}

/** Host, port and database of the operator's server, without user and password. */
export function serverPlace(url: string): string {
  const whole = url.replace('@/', '@socket/');
  if (!URL.canParse(whole)) return 'your server';
  const { host, pathname, searchParams } = new URL(whole);
  return `${searchParams.get('host') ?? host}${pathname}`;
}

function durabilityText({ fsync, synchronousCommit }: BannerFacts['postgres']): string {
  const settings = `fsync=${fsync}, synchronous_commit=${synchronousCommit}`;
  const isDurable = fsync === 'on' && synchronousCommit !== 'off';
  return isDurable
    ? `200 means committed (${settings})`
    : `NOT DURABLE: a crash may lose acknowledged events (${settings})`;
}

/** An address one can go to: nobody can connect to "all interfaces". */
function gatewayUrl({ host, port }: { host: string; port: number }): string {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
}

function countOf(count: number, noun: string, plural = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : plural}`;
}
