// Write keys out of Basic credentials, and the sources they lead to.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { answers } from '../../../actors/gateway/answers.ts';
import { readWriteKey, WriteKeyAuth } from '../../../actors/gateway/auth.ts';
import { type SourceConfig, WorkspaceHolder } from '../../../actors/services/workspace.ts';

const encode = (text: string) => Buffer.from(text).toString('base64');

test('reads any user name, whatever the password is', () => {
  const names = fc.string({ unit: 'grapheme' }).filter((name) => !name.includes(':'));
  fc.assert(
    fc.property(
      names,
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom('Basic', 'basic', 'BASIC'),
      (name, password, scheme) => {
        assert.equal(readWriteKey(`${scheme} ${encode(`${name}:${password}`)}`), name);
      },
    ),
  );
});

test('never throws and never finds a key in what is not Basic credentials', () => {
  fc.assert(fc.property(fc.string(), (header) => readWriteKey(header) === '' || /^basic /i.test(header)));
  const wrong = [
    '',
    'Basic',
    'Basic ',
    'Basic  ',
    `Bearer ${encode('key:')}`,
    `Basic ${encode('key')}`,
    `Basic ${encode('key:').slice(0, -1)}`,
  ];
  for (const header of [...wrong, 'Basic !!!!', `Basic ${encode('key:')} x`, `Basic ${encode(':password')}`]) {
    assert.equal(readWriteKey(header), '', header);
  }
});

function sourceOf(id: string, writeKey: string, enabled = true): SourceConfig {
  const sourceDefinition = { id: '', name: '', category: '', type: '' };
  return { id, name: id, writeKey, enabled, workspaceId: 'w', config: {}, sourceDefinition, destinations: [] };
}

function publish(workspace: WorkspaceHolder, version: number, sources: SourceConfig[]): void {
  workspace.publish({ version, hash: '', loadedAtMs: 0, sources });
}

test('tells a missing, an unknown and a disabled key apart', () => {
  const workspace = new WorkspaceHolder();
  publish(workspace, 1, [sourceOf('a', 'key-a'), sourceOf('off', 'key-off', false)]);
  const auth = new WriteKeyAuth(workspace);
  const outcome = (header: string) => {
    const given = auth.authenticate(header);
    return given.ok ? given.source.id : given.answer;
  };
  assert.equal(outcome(`Basic ${encode('key-a:')}`), 'a');
  assert.equal(outcome(''), answers.noWriteKey);
  assert.equal(outcome(`Basic ${encode('key-A:')}`), answers.invalidWriteKey);
  assert.equal(outcome(`Basic ${encode('key-off:')}`), answers.sourceDisabled);
});

test('remembers what clients send, and not what only fills memory', () => {
  const workspace = new WorkspaceHolder();
  publish(workspace, 1, [sourceOf('a', 'key')]);
  const auth = new WriteKeyAuth(workspace);
  const isRemembered = (header: string) => {
    const first = auth.authenticate(header);
    return auth.authenticate(header) === first;
  };
  assert.equal(isRemembered(`Basic ${encode('key:password')}`), true);
  const long = `Basic ${encode(`key:${'x'.repeat(10_000)}`)}`;
  assert.equal(isRemembered(long), false);
  assert.equal(auth.authenticate(long).ok, true);
});

test('forgets what it knew when the workspace changes', () => {
  const workspace = new WorkspaceHolder();
  publish(workspace, 1, [sourceOf('a', 'key')]);
  const auth = new WriteKeyAuth(workspace);
  const header = `Basic ${encode('key:')}`;
  for (let round = 0; round < 2; round += 1) assert.ok(auth.authenticate(header).ok);
  publish(workspace, 2, [sourceOf('a', 'key', false)]);
  assert.deepEqual(auth.authenticate(header), { ok: false, answer: answers.sourceDisabled });
  publish(workspace, 3, [sourceOf('b', 'key')]);
  const again = auth.authenticate(header);
  assert.equal(again.ok && again.source.id, 'b');
});
