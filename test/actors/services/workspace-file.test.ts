// The workspace file as text: forms, defaults, lenience, and the exact faults of what is refused.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { stringify } from 'yaml';
import type { SourceConfig } from '../../../actors/services/workspace.ts';
import { formatWorkspaceFaults, parseWorkspaceFile } from '../../../actors/services/workspace-file.ts';

type Table = Record<string, unknown>;

function destination(changes: Table = {}): Table {
  return {
    id: 'dst-1',
    config: { webhookUrl: 'http://127.0.0.1:1/' },
    destinationDefinition: { name: 'WEBHOOK' },
    ...changes,
  };
}

function source(changes: Table = {}): Table {
  return {
    id: 'src-1',
    writeKey: 'wk-1',
    sourceDefinition: { name: 'HTTP' },
    destinations: [destination()],
    ...changes,
  };
}

function workspace(...sources: Table[]): Table {
  return { workspaceId: 'ws-1', sources };
}

function read(content: unknown, environment: Record<string, string> = {}, path = 'workspace.json') {
  const text = typeof content === 'string' ? content : JSON.stringify(content);
  return parseWorkspaceFile({ path, bytes: Buffer.from(text), environment });
}

function sourcesOf(...parameters: Parameters<typeof read>): SourceConfig[] {
  const reading = read(...parameters);
  assert.ok(reading.ok, reading.ok ? '' : formatWorkspaceFaults(reading.faults));
  return reading.sources;
}

function faultsOf(...parameters: Parameters<typeof read>): string[] {
  const reading = read(...parameters);
  assert.ok(!reading.ok, 'expected faults');
  return reading.faults.map(({ path, expected, got }) => `${path} | ${expected} | ${got}`);
}

test('fills in the defaults of everything optional', () => {
  const [only] = sourcesOf(workspace(source()));
  const { revisionId, ...destinationRest } = only?.destinations[0] ?? { revisionId: '' };
  assert.match(revisionId, /^[0-9a-f]{16}$/);
  assert.deepEqual(destinationRest, {
    id: 'dst-1',
    name: 'dst-1',
    enabled: true,
    workspaceId: 'ws-1',
    config: { webhookUrl: 'http://127.0.0.1:1/' },
    isProcessorEnabled: true,
    isConnectionEnabled: true,
    destinationDefinition: { id: 'WEBHOOK', name: 'WEBHOOK', displayName: 'WEBHOOK', config: {} },
  });
  assert.deepEqual(
    { ...only, destinations: [] },
    {
      id: 'src-1',
      name: 'src-1',
      writeKey: 'wk-1',
      enabled: true,
      workspaceId: 'ws-1',
      config: {},
      sourceDefinition: { id: 'HTTP', name: 'HTTP', category: '', type: '' },
      destinations: [],
    },
  );
});

test('reads what a real export holds and ignores the keys it does not use', () => {
  const [only] = sourcesOf(
    workspace(
      source({
        name: 'Shop',
        enabled: false,
        transient: false,
        createdBy: 'x',
        config: null,
        destinations: [
          destination({
            enabled: false,
            isProcessorEnabled: false,
            isConnectionEnabled: false,
            revisionId: 'r1',
            secretConfig: {},
            transformations: [],
          }),
        ],
      }),
    ),
  );
  assert.equal(only?.name, 'Shop');
  assert.equal(only?.enabled, false);
  const [hook] = only?.destinations ?? [];
  assert.deepEqual(
    [hook?.enabled, hook?.isProcessorEnabled, hook?.isConnectionEnabled, hook?.revisionId],
    [false, false, false, 'r1'],
  );
});

test('matches keys in any case, prefers the exact one, and leaves destination settings as they are', () => {
  const content = {
    WorkspaceID: 'ws-1',
    Sources: [
      {
        ID: 'src-1',
        WRITEKEY: 'wrong',
        writeKey: 'wk-1',
        SourceDefinition: { Name: 'HTTP' },
        Destinations: [{ Id: 'd', Config: { WebhookURL: 'u' }, DestinationDefinition: { NAME: 'WEBHOOK' } }],
      },
    ],
  };
  const [only] = sourcesOf(content);
  assert.equal(only?.writeKey, 'wk-1');
  assert.deepEqual(only?.destinations[0]?.config, { WebhookURL: 'u' });
});

test('accepts several workspaces as a list, under a key, or as a map by id', () => {
  const other = { workspaceId: 'ws-2', sources: [source({ id: 'src-2', writeKey: 'wk-2', destinations: null })] };
  const expected = [
    ['src-1', 'ws-1'],
    ['src-2', 'ws-2'],
  ];
  const { workspaceId, ...bare } = workspace(source());
  const { workspaceId: otherId, ...otherBare } = other;
  const forms = [
    [workspace(source()), other],
    { workspaces: [workspace(source()), other] },
    { workspaces: { 'ws-1': bare, 'ws-2': otherBare } },
    { 'ws-1': bare, 'ws-2': other },
  ];
  for (const form of forms) {
    assert.deepEqual(
      sourcesOf(form).map((entry) => [entry.id, entry.workspaceId]),
      expected,
    );
  }
});

test('reads YAML by its extension or its look, and JSON likewise', () => {
  const yaml = stringify(workspace(source()));
  const json = JSON.stringify(workspace(source()));
  for (const path of ['a.yaml', 'a.yml', 'a.conf', 'a']) assert.equal(sourcesOf(yaml, {}, path).length, 1);
  for (const path of ['a.json', 'a.JSON', 'a.yaml', 'a.conf', 'a']) assert.equal(sourcesOf(json, {}, path).length, 1);
  assert.equal(sourcesOf(`\uFEFF${json}`).length, 1);
});

test('replaces env.NAME everywhere and faults a variable that is not set', () => {
  const content = workspace(
    source({
      writeKey: 'env.KEY',
      destinations: [destination({ config: { a: ['env.TOKEN', 'env.a.b', 'xenv.TOKEN'], b: { c: 'env.EMPTY' } } })],
    }),
  );
  const [only] = sourcesOf(content, { KEY: 'wk-9', TOKEN: 't', EMPTY: '' });
  assert.equal(only?.writeKey, 'wk-9');
  assert.deepEqual(only?.destinations[0]?.config, { a: ['t', 'env.a.b', 'xenv.TOKEN'], b: { c: '' } });
  assert.deepEqual(faultsOf(content, { EMPTY: '' }), [
    'sources[0].writeKey | the environment variable KEY to be set | nothing',
    'sources[0].destinations[0].config.a[0] | the environment variable TOKEN to be set | nothing',
  ]);
});

const textOfId = 'a text of 1 to 255 bytes without control characters';

const refusals: [string, unknown, string[]][] = [
  ['no content', 'null', [' | a table | nothing']],
  ['a text', '"x"', [' | a table | a text of 1 characters']],
  ['no sources', { workspaceId: 'ws-1' }, ['sources | a list | nothing']],
  ['sources that are a table', { workspaceId: 'ws-1', sources: {} }, ['sources | a list | a table']],
  ['a source that is null', workspace(source(), null as never), ['sources[1] | a table | nothing']],
  [
    'an empty source',
    workspace({}),
    [
      'sources[0].id | a text | nothing',
      'sources[0].writeKey | a text | nothing',
      'sources[0].sourceDefinition | a table | nothing',
    ],
  ],
  ['ids that are no texts', workspace(source({ id: 5 })), ['sources[0].id | a text | a number']],
  ['an empty id', workspace(source({ id: '' })), [`sources[0].id | ${textOfId} | an empty text`]],
  [
    'an id of 256 bytes',
    workspace(source({ id: 'x'.repeat(256) })),
    [`sources[0].id | ${textOfId} | a text of 256 characters`],
  ],
  ['an id with NUL', workspace(source({ id: 'a\u0000' })), [`sources[0].id | ${textOfId} | a text of 2 characters`]],
  [
    'an id with a lone surrogate',
    workspace(source({ id: '\ud800' })),
    [`sources[0].id | ${textOfId} | a text of 1 characters`],
  ],
  [
    'a write key with a colon',
    workspace(source({ writeKey: 'a:b' })),
    [
      'sources[0].writeKey | a text without a colon, which Basic authentication could not carry | a text of 3 characters',
    ],
  ],
  [
    'flags that are texts',
    workspace(source({ enabled: 'true' })),
    ['sources[0].enabled | true or false | a text of 4 characters'],
  ],
  [
    'definitions without names',
    workspace(source({ sourceDefinition: {}, destinations: [destination({ destinationDefinition: { id: 'x' } })] })),
    [
      'sources[0].sourceDefinition.name | a text | nothing',
      'sources[0].destinations[0].destinationDefinition.name | a text | nothing',
    ],
  ],
  [
    'settings that are a list',
    workspace(source({ destinations: [destination({ config: [] })] })),
    ['sources[0].destinations[0].config | a table | a list'],
  ],
  [
    'twins',
    workspace(source(), source({ destinations: [] })),
    [
      'sources[1].id | an id of its own | the id of sources[0]',
      'sources[1].writeKey | a write key of its own | the write key of sources[0]',
    ],
  ],
  [
    'one destination twice in a source',
    workspace(source({ destinations: [destination(), destination()] })),
    ['sources[0].destinations[1].id | an id of its own within its source | the id of sources[0].destinations[0]'],
  ],
  [
    'one destination id for two things',
    workspace(source(), source({ id: 'b', writeKey: 'b', destinations: [destination({ config: {} })] })),
    [
      'sources[1].destinations[0] | the same destination as sources[0].destinations[0], whose id it has | a different one',
    ],
  ],
  ['no workspace id', { sources: [source()] }, ['sources[0].workspaceId | a text here or at the workspace | nothing']],
  [
    'a source of another workspace',
    workspace(source({ workspaceId: 'ws-9' })),
    ['sources[0].workspaceId | the id of its workspace, ws-1 | another id'],
  ],
  [
    'a map key that contradicts',
    { workspaces: { a: { ...workspace(source()) } } },
    ['workspaces.a.workspaceId | the id it is listed under | another id'],
  ],
  ['a workspace that is null', { 'ws-1': null }, ['ws-1 | a table | nothing']],
  ['broken JSON', '{\n"a": [1,\n}', [' | valid JSON | a syntax error in line 3']],
];

for (const [name, content, faults] of refusals) {
  test(`refuses ${name}`, () => assert.deepEqual(faultsOf(content), faults));
}

test('allows one destination under several sources, with connections of their own', () => {
  const sources = sourcesOf(
    workspace(
      source(),
      source({ id: 'b', writeKey: 'b', destinations: [destination({ isConnectionEnabled: false })] }),
    ),
  );
  assert.deepEqual(
    sources.map((entry) => entry.destinations[0]?.isConnectionEnabled),
    [true, false],
  );
});

test('refuses broken YAML, alias bombs and bytes that are not UTF-8', () => {
  assert.deepEqual(faultsOf('a: [', {}, 'w.yaml'), [' | valid YAML | bad indent in line 1']);
  const levels = ['a0: &a0 [x, x, x, x, x, x, x, x, x]'];
  for (let level = 1; level < 9; level += 1)
    levels.push(
      `a${level}: &a${level} [${Array(9)
        .fill(`*a${level - 1}`)
        .join(', ')}]`,
    );
  assert.match(faultsOf(levels.join('\n'), {}, 'w.yaml').join(), /too many/);
  assert.ok(!parseWorkspaceFile({ path: 'w.yaml', bytes: Uint8Array.of(0x61, 0xff), environment: {} }).ok);
});

test('never repeats a value of the file in a fault', () => {
  const secret = 'hunter2';
  const contents = [
    workspace(source({ writeKey: `${secret}:`, enabled: secret, destinations: [destination({ config: secret })] })),
    workspace(source({ writeKey: secret }), source({ writeKey: secret, id: 'b' })),
    `{"writeKey": "${secret}", ${secret}`,
    `"${secret}"`,
  ];
  for (const content of contents) assert.doesNotMatch(faultsOf(content).join(), /hunter2/);
});

test('lists faults up to a limit and counts the rest', () => {
  const faults = Array.from({ length: 250 }, (_, index) => ({ path: `p${index}`, expected: 'x', got: 'y' }));
  assert.match(formatWorkspaceFaults(faults), /p99: expected x, got y; and 150 more$/);
});

test('answers any JSON with sources or faults, never with a throw', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      assert.equal(typeof read(text).ok, 'boolean');
    }),
  );
  fc.assert(
    fc.property(
      fc.jsonValue(),
      fc.constantFrom('id', 'writeKey', 'enabled', 'config', 'destinations', 'sourceDefinition'),
      (value, key) => {
        assert.equal(typeof read(workspace(source({ [key]: value }))).ok, 'boolean');
      },
    ),
  );
});
