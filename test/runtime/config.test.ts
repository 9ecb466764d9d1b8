// Settings: layering, names, faults. Everything here is pure; files and environments are given as values.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  boolean,
  type ConfigOf,
  choice,
  defineConfig,
  describeConfig,
  integer,
  list,
  text,
} from '../../runtime/config.ts';
import { type ConfigFault, type ConfigSources, formatConfigFaults, loadConfig } from '../../runtime/config-load.ts';
import { editDistance, environmentName, isServiceLink, nearestName } from '../../runtime/config-names.ts';

const schema = defineConfig(
  {
    gateway: {
      host: text({ default: '0.0.0.0', doc: 'Address' }),
      port: integer({ default: 8080, min: 0, max: 65_535, doc: 'Port' }),
      open: boolean({ default: false, doc: 'Let everybody in' }),
    },
    postgres: { url: text({ default: '', secret: true, doc: 'Server' }) },
    router: {
      retryBackoffMsMin: integer({ default: 10, min: 1, max: 1000, doc: 'First delay' }),
      retryBackoffMsMax: integer({ default: 100, min: 1, max: 1000, doc: 'Last delay', defaultText: 'a hundred' }),
      mode: choice(['calm', 'eager'], { default: 'calm', doc: 'Mood' }),
    },
  },
  [
    {
      paths: ['router.retryBackoffMsMin', 'router.retryBackoffMsMax'],
      expected: 'min to be at most max',
      holds: (settings) => settings.router.retryBackoffMsMin <= settings.router.retryBackoffMsMax,
    },
  ],
);

type Sources = Partial<Omit<ConfigSources, 'file'>> & { file?: string };

function load({ file, environment = {}, flags = [] }: Sources) {
  const fileSource = file === undefined ? {} : { file: { path: 'sluice.yaml', text: file } };
  return loadConfig(schema, { environment, flags, ...fileSource });
}

function settingsOf(sources: Sources): ConfigOf<typeof schema> {
  const result = load(sources);
  assert.ok(result.ok, result.ok ? '' : formatConfigFaults(result.faults));
  return result.settings;
}

function faultsOf(sources: Sources): ConfigFault[] {
  const result = load(sources);
  assert.ok(!result.ok, 'expected faults');
  return result.faults;
}

test('gives the defaults when no source says anything', () => {
  assert.deepEqual(settingsOf({}), {
    gateway: { host: '0.0.0.0', port: 8080, open: false },
    postgres: { url: '' },
    router: { retryBackoffMsMin: 10, retryBackoffMsMax: 100, mode: 'calm' },
  });
  for (const empty of ['', '\n', '# only a comment\n', '---\n', 'gateway:\n'])
    assert.deepEqual(settingsOf({ file: empty }), settingsOf({}));
});

test('lets flags win over the environment, the environment over the file, the file over the defaults', () => {
  const file = 'gateway:\n  port: 1\n';
  const environment = { SLUICE_GATEWAY_PORT: '2', PATH: '/bin' };
  assert.equal(settingsOf({ file }).gateway.port, 1);
  assert.equal(settingsOf({ file, environment }).gateway.port, 2);
  assert.equal(settingsOf({ file, environment, flags: ['--gateway.port=3'] }).gateway.port, 3);
  assert.equal(settingsOf({ file, environment, flags: ['--gateway.port=3', '--gateway.port', '4'] }).gateway.port, 4);
});

test('tells which source each setting came from', () => {
  const result = load({
    file: '\ngateway:\n  port: 1\n',
    environment: { SLUICE_ROUTER_MODE: 'eager' },
    flags: ['--gateway.open'],
  });
  assert.ok(result.ok);
  assert.deepEqual(
    [...result.origins],
    [
      ['gateway.port', 'sluice.yaml line 3'],
      ['router.mode', 'environment SLUICE_ROUTER_MODE'],
      ['gateway.open', 'flag --gateway.open'],
    ],
  );
});

test('freezes the settings all the way down', () => {
  const settings = settingsOf({});
  assert.ok(Object.isFrozen(settings) && Object.isFrozen(settings.gateway));
  assert.throws(() => Object.assign(settings.gateway, { port: 1 }), TypeError);
});

test('reads booleans as flags with and without a value', () => {
  assert.equal(settingsOf({ flags: ['--gateway.open'] }).gateway.open, true);
  assert.equal(settingsOf({ flags: ['--gateway.open', 'false'] }).gateway.open, false);
  assert.equal(settingsOf({ flags: ['--gateway.open=true', '--gateway.port', '0'] }).gateway.port, 0);
});

test('lists every fault of every source at once', () => {
  const faults = faultsOf({
    file: 'gateway:\n  port: "80"\n  hots: a\nrouter:\n  mode: lazy\n  retryBackoffMsMin: 0\nrooter: 5\n',
    environment: { SLUICE_GATEWAY_PORT: '', SLUICE_GATEWAY_OPEN: 'yes', SLUICE_GATWAY_HOST: 'x' },
    flags: ['--gateway.port', '--router.mode=', '--retryBackoffMsMax=4', 'stray'],
  });
  assert.deepEqual(
    faults.map(({ path, source, got }) => [path, source, got]),
    [
      ['gateway.port', 'sluice.yaml line 2', '"80"'],
      ['gateway.hots', 'sluice.yaml line 3', 'an unknown name'],
      ['router.mode', 'sluice.yaml line 5', '"lazy"'],
      ['router.retryBackoffMsMin', 'sluice.yaml line 6', '0'],
      ['rooter', 'sluice.yaml line 7', 'an unknown name'],
      ['gateway.open', 'environment SLUICE_GATEWAY_OPEN', '"yes"'],
      ['gateway.port', 'environment SLUICE_GATEWAY_PORT', '""'],
      ['SLUICE_GATWAY_HOST', 'environment SLUICE_GATWAY_HOST', 'an unknown name'],
      ['gateway.port', 'flag --gateway.port', 'no value'],
      ['router.mode', 'flag --router.mode', '""'],
      ['retryBackoffMsMax', 'flag --retryBackoffMsMax', 'an unknown name'],
      ['', 'argument 4 after the command', 'something else'],
    ],
  );
});

test('says what was meant when a name is misspelt, misplaced or not nested', () => {
  const hint = (sources: Sources): string | undefined => faultsOf(sources)[0]?.hint;
  assert.equal(hint({ file: 'gateway:\n  hots: a\n' }), 'Did you mean gateway.host?');
  assert.equal(hint({ file: 'gatewya:\n  host: a\n' }), 'Did you mean gateway?');
  assert.equal(hint({ file: 'gateway:\n  mode: calm\n' }), 'Did you mean router.mode?');
  assert.match(hint({ file: 'gateway.port: 1\n' }) ?? '', /nested/);
  assert.equal(
    hint({ environment: { SLUICE_ROUTER_RETRY_BACKOF_MS_MIN: '1' } }),
    'Did you mean SLUICE_ROUTER_RETRY_BACKOFF_MS_MIN?',
  );
  assert.equal(hint({ flags: ['--Gateway.Port=1'] }), 'Did you mean gateway.port?');
  assert.equal(hint({ flags: ['--something.else.entirely=1'] }), undefined);
});

test('refuses an empty text where the default is not empty', () => {
  assert.equal(faultsOf({ environment: { SLUICE_GATEWAY_HOST: '' } })[0]?.expected, 'a text that is not empty');
  assert.equal(settingsOf({ environment: { SLUICE_POSTGRES_URL: '' } }).postgres.url, '');
});

test('checks relations only between settings that are good by themselves', () => {
  const [fault, ...others] = faultsOf({
    file: 'router: {retryBackoffMsMin: 500}',
    flags: ['--router.retryBackoffMsMax=400'],
  });
  assert.equal(others.length, 0);
  assert.deepEqual(fault, {
    path: 'router.retryBackoffMsMin, router.retryBackoffMsMax',
    source: 'sluice.yaml line 1, flag --router.retryBackoffMsMax',
    expected: 'min to be at most max',
    got: 'router.retryBackoffMsMin = 500, router.retryBackoffMsMax = 400',
  });
  assert.equal(faultsOf({ file: 'router: {retryBackoffMsMin: 500, retryBackoffMsMax: x}' }).length, 1);
});

test('never prints a secret, wherever it was written', () => {
  const secret = 'postgres://app:hunter2@db/x';
  const attempts: Sources[] = [
    { file: `postgres:\n  url: [${JSON.stringify(secret)}]\n` },
    { file: `postgres: ${JSON.stringify(secret)}\n` },
    { file: `postgres:\n  ulr: ${JSON.stringify(secret)}\n` },
    { file: `postgres:\n url: ${secret}: x\n` },
    { file: JSON.stringify(secret) },
    { environment: { SLUICE_POSTGRES_ULR: secret } },
    { flags: ['--postgres.ulr', secret] },
    { flags: [`--postgres.ulr=${secret}`] },
    { flags: [secret] },
  ];
  for (const sources of attempts)
    assert.doesNotMatch(formatConfigFaults(faultsOf(sources)), /hunter2/, JSON.stringify(sources));
});

test('refuses text that is not YAML, duplicate keys and several documents', () => {
  for (const file of ['gateway: [', 'a: 1\n b: 2\n', 'gateway: {}\ngateway: {}\n', 'gateway: {}\n---\ngateway: {}\n']) {
    const [fault] = faultsOf({ file });
    assert.equal(fault?.expected, 'valid YAML', file);
    assert.match(fault?.source ?? '', /^sluice\.yaml line \d$/);
  }
  for (const file of ['[1]', '5', 'text']) assert.equal(faultsOf({ file })[0]?.expected, 'a table of settings', file);
});

test('follows anchors and aliases in the file', () => {
  assert.equal(
    settingsOf({ file: 'gateway: {port: &p 77}\nrouter: {retryBackoffMsMin: *p}\n' }).router.retryBackoffMsMin,
    77,
  );
});

test('is not fooled by names of Object.prototype', () => {
  for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
    assert.equal(faultsOf({ file: `${name}: {polluted: 1}\n` })[0]?.path, name);
    assert.equal(faultsOf({ file: `gateway: {${name}: 1}\n` })[0]?.path, `gateway.${name}`);
    assert.equal(faultsOf({ flags: [`--${name}=1`] })[0]?.path, name);
  }
});

test('leaves SLUICE_CONFIG and the service links of Kubernetes alone', () => {
  settingsOf({
    environment: {
      SLUICE_CONFIG: 'x.yaml',
      SLUICE_SERVICE_HOST: '10.0.0.1',
      SLUICE_SERVICE_PORT_HTTP: '80',
      SLUICE_PORT: 'tcp://10.0.0.1:80',
      SLUICE_PORT_80_TCP_ADDR: '10.0.0.1',
    },
  });
  const [fault] = faultsOf({ environment: { SLUICE_GATEWAY_PORT: 'tcp://10.0.0.1:80' } });
  assert.match(fault?.hint ?? '', /enableServiceLinks/);
  assert.equal(isServiceLink('SLUICE_GATEWAY_PORT', '80'), false);
});

test('derives environment names from paths', () => {
  const names: [string, string][] = [
    ['gateway.port', 'SLUICE_GATEWAY_PORT'],
    ['router.retryBackoffMsMin', 'SLUICE_ROUTER_RETRY_BACKOFF_MS_MIN'],
    ['jobs.maxDSSize', 'SLUICE_JOBS_MAX_DS_SIZE'],
    ['a.http2Port', 'SLUICE_A_HTTP2_PORT'],
    ['a.useTLS', 'SLUICE_A_USE_TLS'],
  ];
  for (const [path, name] of names) assert.equal(environmentName(path), name);
});

test('refuses a table with clashing names, bad defaults or relations about nothing', () => {
  const port = (value: number) => integer({ default: value, min: 0, max: 9, doc: '' });
  assert.throws(
    () => defineConfig({ a: { bC: port(1) }, aB: { c: port(1) } }),
    /share the environment name SLUICE_A_B_C/,
  );
  assert.throws(() => defineConfig({ a: port(10) }), /expected its default to be an integer from 0 to 9/);
  assert.throws(() => defineConfig({ a_b: port(1) }), /camelCase/);
  assert.throws(() => defineConfig({ a: port(1) }, [{ paths: ['b'], expected: '', holds: () => true }]), /no setting/);
});

test('describes each setting for the documentation', () => {
  const rows = describeConfig(schema);
  assert.equal(rows.length, 7);
  assert.deepEqual(rows[5], {
    path: 'router.retryBackoffMsMax',
    environment: 'SLUICE_ROUTER_RETRY_BACKOFF_MS_MAX',
    flag: '--router.retryBackoffMsMax',
    type: 'integer',
    expected: 'an integer from 1 to 1000',
    default: 'a hundred',
    secret: false,
    doc: 'Last delay',
  });
});

test('reads any good value alike from the file, the environment and a flag', () => {
  const values = fc.record({
    port: fc.integer({ min: 0, max: 65_535 }),
    open: fc.boolean(),
    host: fc.string({ minLength: 1, unit: 'grapheme-ascii' }),
    mode: fc.constantFrom('calm', 'eager'),
  });
  fc.assert(
    fc.property(values, ({ port, open, host, mode }) => {
      const gateway = { host, port, open };
      const fromFile = settingsOf({ file: JSON.stringify({ gateway, router: { mode } }) });
      const environment = {
        SLUICE_GATEWAY_HOST: host,
        SLUICE_GATEWAY_PORT: String(port),
        SLUICE_GATEWAY_OPEN: String(open),
        SLUICE_ROUTER_MODE: mode,
      };
      const flags = [
        `--gateway.host=${host}`,
        '--gateway.port',
        `${port}`,
        `--gateway.open=${open}`,
        `--router.mode=${mode}`,
      ];
      assert.deepEqual(fromFile.gateway, gateway);
      assert.deepEqual(settingsOf({ environment }), fromFile);
      assert.deepEqual(settingsOf({ flags }), fromFile);
    }),
  );
});

test('answers any text in any source with settings or faults, never with a throw', () => {
  const junk = fc.string({ unit: 'binary' });
  fc.assert(
    fc.property(junk, junk, fc.array(junk), (file, value, flags) => {
      const result = load({ file, environment: { SLUICE_GATEWAY_PORT: value }, flags });
      assert.equal(typeof result.ok, 'boolean');
    }),
  );
});

test('measures distance as a metric does and finds a name with one slip', () => {
  const word = fc.string({ minLength: 4, maxLength: 12, unit: fc.constantFrom('a', 'b', 'c', 'd') });
  fc.assert(
    fc.property(word, word, (left, right) => {
      assert.equal(editDistance(left, right, 50), editDistance(right, left, 50));
      assert.equal(editDistance(left, right, 50) === 0, left === right);
    }),
  );
  fc.assert(
    fc.property(word, fc.nat(), (name, position) => {
      const at = position % name.length;
      assert.equal(nearestName(name.slice(0, at) + name.slice(at + 1), [name]), name);
    }),
  );
});

test('reads lists from texts and from files, and says what an entry must be', () => {
  const lists = defineConfig({
    egress: {
      allow: list({ default: ['a'], of: 'short words', isGood: (entry) => entry.length < 4, doc: 'Open hosts' }),
    },
  });
  const read = (sources: Partial<ConfigSources>) => loadConfig(lists, { environment: {}, flags: [], ...sources });
  const file = (text: string) => ({ file: { path: 'sluice.yaml', text } });
  const good: [Partial<ConfigSources>, string[]][] = [
    [{}, ['a']],
    [{ environment: { SLUICE_EGRESS_ALLOW: 'b, c ,' } }, ['b', 'c']],
    [{ flags: ['--egress.allow='] }, []],
    [file('egress: { allow: [x, y] }'), ['x', 'y']],
    [file('egress: { allow: "x,y" }'), ['x', 'y']],
  ];
  for (const [sources, allow] of good) {
    const result = read(sources);
    assert.ok(result.ok, result.ok ? '' : formatConfigFaults(result.faults));
    assert.deepEqual(result.settings.egress.allow, allow);
  }
  for (const sources of [
    { flags: ['--egress.allow=a,long'] },
    file('egress: { allow: [1] }'),
    file('egress: { allow: 7 }'),
  ]) {
    const result = read(sources);
    assert.ok(!result.ok);
    assert.equal(result.faults[0]?.expected, 'a list of short words, separated by commas');
  }
});
