// The command line and the banner: pure text in, plain data or text out.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { type BannerFacts, curlLine, engineReason, lanesText, serverPlace, startBanner } from '../../actors/banner.ts';
import { type CommandLine, parseCommandLine as parseAt } from '../../actors/cli.ts';
import { settingsSchema } from '../../actors/config.ts';
import { loadConfig } from '../../runtime/index.ts';

const nowMs = Date.parse('2026-03-01T12:00:30Z');
const parseCommandLine = (parameters: readonly string[]): CommandLine => parseAt(parameters, nowMs);

test('reads commands, their file and their flags', () => {
  assert.deepEqual(parseCommandLine(['start']), { command: 'start', configPath: undefined, flags: [] });
  for (const spelling of [['--config', 'a.yaml'], ['--config=a.yaml']]) {
    assert.deepEqual(parseCommandLine(['start', '--gateway.port', '1', ...spelling, '--log.level=debug']), {
      command: 'start',
      configPath: 'a.yaml',
      flags: ['--gateway.port', '1', '--log.level=debug'],
    });
  }
  assert.deepEqual(parseCommandLine(['config-docs', '--write']), { command: 'config-docs', write: true });
  for (const help of [['--help'], ['-h'], ['help'], ['start', '--help']])
    assert.equal(parseCommandLine(help).command, 'help');
  for (const version of ['--version', '-v', 'version']) assert.equal(parseCommandLine([version]).command, 'version');
});

test('reads what reports and debug-bundle take beside settings', () => {
  const settings = { configPath: undefined, flags: ['--data.dir=x'] };
  const reports = parseCommandLine(['reports', '--since', '90m', '--source=a', '--json', '--data.dir=x']);
  const sinceMinute = Math.floor(nowMs / 60_000) - 90;
  assert.deepEqual(reports, { command: 'reports', sinceMinute, source: 'a', json: true, ...settings });
  const bundle = parseCommandLine(['debug-bundle', '--out', 'here', '--data.dir=x']);
  assert.deepEqual(bundle, { command: 'debug-bundle', out: 'here', upload: false, ...settings });
  assert.equal(parseCommandLine(['debug-bundle', '--out']).command, 'unusable');
});

test('reads the message whose life is asked for', () => {
  const settings = { configPath: undefined, flags: ['--data.dir=x'] };
  assert.deepEqual(parseCommandLine(['job', 'order-7', '--json', '--data.dir=x']), {
    command: 'job',
    messageId: 'order-7',
    json: true,
    ...settings,
  });
  for (const missing of [['job'], ['job', '--json']]) assert.equal(parseCommandLine(missing).command, 'unusable');
});

test('reads which dead letters are meant, and what is to be done with them', () => {
  const parameters = ['--destination', 'd1', '--code=400', '--since', '2h', '--data.dir=x'];
  assert.deepEqual(parseCommandLine(['dead-letters', 'retry', ...parameters]), {
    command: 'dead-letters',
    action: 'retry',
    filter: { destinationId: 'd1', code: '400', since: '2026-03-01T10:00:00.000Z' },
    configPath: undefined,
    flags: ['--data.dir=x'],
  });
  for (const wrong of [['dead-letters'], ['dead-letters', 'drop'], ['dead-letters', 'list', '--since', 'soon']]) {
    assert.equal(parseCommandLine(wrong).command, 'unusable');
  }
});

test('reads what doctor, ledger and migrate take beside settings', () => {
  const flags = ['--data.dir=x'];
  assert.deepEqual(parseCommandLine(['doctor', '--json', ...flags]), {
    command: 'doctor',
    json: true,
    configPath: undefined,
    flags,
  });
  assert.deepEqual(parseCommandLine(['ledger', '--since', '2h', '--source=s1', '--by-minute', ...flags]), {
    command: 'ledger',
    json: false,
    byMinute: true,
    sinceMinute: Date.parse('2026-03-01T10:00Z') / 60_000,
    source: 's1',
    configPath: undefined,
    flags,
  });
  const since = parseCommandLine(['ledger', '--since=2026-03-01T10:00Z']);
  assert.equal(since.command === 'ledger' && since.sinceMinute, Date.parse('2026-03-01T10:00Z') / 60_000);
  assert.deepEqual(parseCommandLine(['migrate', '--to', '1', '--config=c']), {
    command: 'migrate',
    to: 1,
    status: false,
    configPath: 'c',
    flags: [],
  });
});

test('says what is wrong with a command line it cannot use', () => {
  for (const unusable of [
    [],
    ['strat'],
    ['start', '--config'],
    ['start', '--config='],
    ['start', '--config', '--x'],
    ['config-docs', 'x'],
    ['ledger', '--json=yes'],
    ['doctor', '--json=yes'],
    ['ledger', '--since', 'yesterday'],
    ['migrate', '--to', 'newest'],
  ]) {
    assert.equal(parseCommandLine(unusable).command, 'unusable', unusable.join(' '));
  }
});

const sources = { environment: {}, flags: [] as string[] };

test('accepts its own defaults', () => {
  assert.ok(loadConfig(settingsSchema, sources).ok);
});

const refused: [string[], string][] = [
  [['--admin.host=0.0.0.0'], 'admin.host, admin.token'],
  [['--admin.host=127.0.0.1.example.org'], 'admin.host, admin.token'],
  [['--gateway.port=9', '--admin.port=9'], 'gateway.port, admin.port'],
  [
    ['--starter.receiverPort=8080'],
    'gateway.port, admin.port, starter.receiverPort, workspace.file, backendConfig.url',
  ],
  [['--router.retryBackoffMsMin=300001'], 'router.retryBackoffMsMin, router.retryBackoffMsMax'],
  [['--storage.groupRowsMax=10'], 'storage.copyRowsMin, storage.groupRowsMax'],
  [
    ['--gateway.requestBytesMax=2097152', '--gateway.storeBytesMax=1048576'],
    'gateway.requestBytesMax, gateway.storeBytesMax',
  ],
];

for (const [flags, path] of refused) {
  test(`refuses ${flags.join(' ')}`, () => {
    const result = loadConfig(settingsSchema, { ...sources, flags });
    assert.ok(!result.ok);
    assert.deepEqual(
      result.faults.map((fault) => fault.path),
      [path],
    );
  });
}

test('accepts free ports everywhere, other loopback names, and any receiver port without the starter workspace', () => {
  const good = [
    ['--gateway.port=0', '--admin.port=0', '--starter.receiverPort=0'],
    ['--admin.host=::1'],
    ['--admin.host=0.0.0.0', '--admin.token=secret'],
    ['--admin.host=localhost'],
    ['--postgres.url=postgres://anna@/events?host=/run/postgresql'],
    ['--workspace.file=w.json', '--starter.receiverPort=8080'],
  ];
  for (const flags of good) assert.ok(loadConfig(settingsSchema, { ...sources, flags }).ok, flags.join(' '));
});

const facts: BannerFacts = {
  version: '1.2.3',
  checks: ['data folder /d is writable', 'gateway port 8080 is free'],
  dataDir: '/d',
  postgres: { version: '18.4', place: '/d/postgres', isEmbedded: true, fsync: 'on', synchronousCommit: 'on' },
  role: 'all',
  lanes: 'the only one is ours (1 process)',
  gateway: { host: '0.0.0.0', port: 8080, http: 'uws (uWebSockets.js loaded)' },
  statusUrl: 'http://127.0.0.1:8081/',
  workspace: { path: '/d/workspace.yaml', sources: 1, destinations: 2 },
  starter: { writeKey: 'wk_1', receiverPort: 8082 },
  startMs: 1234,
};

test('says what was checked, where everything is and what to try', () => {
  const banner = startBanner(facts);
  for (const needed of [
    'Sluice 1.2.3 accepts events (started in 1.2 s)',
    'data folder /d is writable; gateway port 8080 is free',
    'PostgreSQL 18.4, embedded, in /d/postgres',
    '200 means committed (fsync=on, synchronous_commit=on)',
    '1 source, 2 destinations',
    'http://127.0.0.1:8080 by uws (uWebSockets.js loaded)',
    'http://127.0.0.1:8081/',
    'wk_1',
    "  curl -u 'wk_1:' ",
  ]) {
    assert.ok(banner.includes(needed), needed);
  }
});

test('does not promise durability that the server does not give, and shows no curl line without a starter workspace', () => {
  const { starter, ...rest } = facts;
  const banner = startBanner({ ...rest, postgres: { ...facts.postgres, fsync: 'off' } });
  assert.match(banner, /NOT DURABLE/);
  assert.doesNotMatch(banner, /curl/);
  assert.match(startBanner({ ...facts, gateway: { host: '::', port: 1, http: 'uws' } }), /http:\/\/\[::1\]:1/);
});

test('says what a process does that takes no events in', () => {
  const { gateway, starter, ...rest } = facts;
  const banner = startBanner({ ...rest, role: 'pipeline' });
  assert.match(banner, /Sluice 1\.2\.3 delivers events/);
  assert.doesNotMatch(banner, /8080 by/);
  const lanes = [0, 1].map((lane) => ({
    lane,
    state: lane === 0 ? ('standby' as const) : ('owner' as const),
    epoch: 3,
  }));
  assert.equal(lanesText({ members: 2, unowned: 0, lanes }), '1 of 2 are ours (2 processes)');
  assert.match(lanesText({ members: 1, unowned: 0, lanes: lanes.slice(0, 1) }), /standing by \(1 process\)/);
});

test('gives a curl line that a shell reads as one command with valid JSON', () => {
  const line = curlLine('http://127.0.0.1:8080', 'wk_1').replace('curl', 'printf "%s\\n"');
  const parameters = execFileSync('sh', ['-c', line], { encoding: 'utf8' }).trim().split('\n');
  assert.equal(parameters[1], 'wk_1:');
  assert.equal(JSON.parse(parameters[5] ?? '').event, 'Hello Sluice');
  assert.equal(parameters[6], 'http://127.0.0.1:8080/v1/track');
});

test('tells why this HTTP engine serves', () => {
  assert.equal(engineReason('node', ''), 'as configured');
  assert.equal(engineReason('auto', ''), 'the fastest that loads');
  const reason = "got: Error: libc.so.6: version `GLIBC_2.38' not found";
  assert.equal(engineReason('auto', reason), 'uWebSockets.js does not load here: no GLIBC_2.38');
});

test("tells the place of the operator's server without its password", () => {
  assert.equal(serverPlace('postgres://anna:secret@db.example:5433/events?sslmode=require'), 'db.example:5433/events');
  assert.equal(serverPlace('postgres://anna@/events?host=/run/postgresql&port=5432'), '/run/postgresql/events');
  assert.equal(serverPlace('no URL'), 'your server');
});
