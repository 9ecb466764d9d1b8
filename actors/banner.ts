// What the program says once it runs: what was checked, where everything is, and what to try first. Pure text.

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
  gateway: { host: string; port: number };
  statusUrl: string;
  http: { engine: string /** Why this one. */; reason: string };
  workspace: { path: string; sources: number; destinations: number };
  /** Only while the starter workspace is in use. */
  starter?: { writeKey: string; receiverPort: number };
  startMs: number;
}

export function startBanner(facts: BannerFacts): string {
  const { postgres, workspace, starter } = facts;
  const url = gatewayUrl(facts.gateway);
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
    ['gateway', `${url} by ${facts.http.engine} (${facts.http.reason})`],
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
  const title = `Sluice ${facts.version} accepts events (started in ${(facts.startMs / 1000).toFixed(1)} s)`;
  const trial = starter === undefined ? [] : ['', 'Try it:', '', curlLine(url, starter.writeKey)];
  return ['', title, '', ...lines, ...trial, '', 'Ctrl-C drains and stops.', ''].join('\n');
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
function gatewayUrl({ host, port }: BannerFacts['gateway']): string {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
}

function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
