// Code by version from a control plane that is really there: asked for once, kept over restarts, and a bad answer is
// told apart from code that does not exist.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { CodeStore } from '../../../actors/transformations/code-store.ts';
import type { TransformationProgram } from '../../../actors/transformations/contract.ts';
import { ProgramError } from '../../../actors/transformations/sandbox-engine.ts';
import { temporaryFolder } from '../../support/cleanup.ts';
import { type Answer, startDestination } from '../../support/fake-destination.ts';

const program: TransformationProgram = {
  workspaceId: 'ws',
  transformationId: 'tr',
  versionId: 'tr-v1',
  language: 'javascript',
  code: undefined,
  libraries: [{ name: '', versionId: 'lib-v1', code: undefined }],
  credentials: { key: 'value' },
  remoteUrl: '',
};
const masking = { name: 'mask email', code: "import { a } from 'mathTools'; export const transformEvent = a;" };
const library = { name: 'Math Tools', handleName: 'mathTools', code: 'export const a = 1;' };

const answers: Readonly<Record<string, Answer>> = {
  '/transformation/getByVersionId?versionId=tr-v1': { status: 200, body: JSON.stringify(masking) },
  '/transformationLibrary/getByVersionId?versionId=lib-v1': { status: 200, body: JSON.stringify(library) },
};

async function setup(t: TestContext, given: Readonly<Record<string, Answer>> = answers) {
  const server = await startDestination(t);
  const asked: string[] = [];
  server.respond(({ path, headers }) => {
    asked.push(`${path} ${headers.authorization ?? ''}`);
    return given[path] ?? 404;
  });
  const dataDir = await temporaryFolder(t);
  const own = server.url('');
  const open = (url = own): CodeStore => new CodeStore({ url, token: 'tok', timeoutMs: 5_000, dataDir });
  return { server, asked, open };
}

test('code and libraries are asked for by version, once, and outlive the program and the control plane', async (t) => {
  const { server, asked, open } = await setup(t);
  const expected = {
    ...masking,
    libraries: new Map([['mathTools', library.code]]),
    credentials: { key: 'value' },
  };
  assert.deepEqual(await open().programOf(program), expected);
  const credentials = `Basic ${Buffer.from('tok:').toString('base64')}`;
  assert.deepEqual(
    asked,
    Object.keys(answers).map((path) => `${path} ${credentials}`),
  );
  assert.deepEqual(await open().programOf(program), expected);
  server.close();
  assert.deepEqual(await open().programOf(program), expected);
  assert.equal(asked.length, 2);
});

test('code of the workspace itself needs no store, and libraries only where something is imported', async (t) => {
  const { asked, open } = await setup(t);
  const code = 'export const transformEvent = (event) => event;';
  const { name, libraries } = await open('').programOf({ ...program, code });
  assert.deepEqual([name, libraries.size, asked.length], ['tr', 0, 0]);
});

test('what does not exist is the customer’s to know, what cannot be had is asked for again', async (t) => {
  const path = '/transformation/getByVersionId?versionId=tr-v1';
  const bad: [string, Answer, boolean, RegExp][] = [
    ['missing', 404, true, /version tr-v1 is not found/],
    ['refused', 401, false, /status 200, got 401/],
    ['broken', 503, false, /status 200, got 503/],
    ['no JSON', { status: 200, body: '<html>' }, false, /Unexpected token/],
    ['no code', { status: 200, body: '{"name":"x"}' }, false, /an object with code/],
  ];
  for (const [what, answer, isProgramError, reason] of bad) {
    const { server, open } = await setup(t, { [path]: answer });
    const store = open();
    await assert.rejects(store.programOf(program), (error: unknown) => {
      assert.ok(error instanceof Error);
      assert.equal(error instanceof ProgramError, isProgramError, what);
      assert.match(error.message, reason);
      return true;
    });
    // A bad answer is not kept.
    server.respond(({ path: asked }) => answers[asked] ?? 404);
    assert.equal((await store.programOf(program)).name, 'mask email', what);
  }
  const { open } = await setup(t);
  await assert.rejects(open('').programOf(program), /expected config.code, or a control plane that has version tr-v1/);
  await assert.rejects(open().programOf({ ...program, versionId: '' }), /VersionID not found/);
});
