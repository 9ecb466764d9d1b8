// The doctor on a real PostgreSQL: what is wrong with a server is found, and nothing is left behind.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { checkPostgres } from '../../actors/doctor/server-checks.ts';
import { openPostgres } from '../../transport/index.ts';
import { testDatabase } from '../support/database.ts';

test('a server without fsync, a foreign clock and too few connections are told', async (t) => {
  const database = await testDatabase(t);
  const verdicts = await database.open().withSession(async (session) => {
    const findings = await checkPostgres({
      session,
      connectionsNeeded: 100_000,
      nowMs: () => Date.now() - 5_000,
      monotonicMs: () => performance.now(),
    });
    const { rows } = await session.query("select to_regclass('sluice_doctor_trial') as trial");
    assert.deepEqual(rows, [{ trial: null }]);
    return Object.fromEntries(findings.map(({ name, verdict }) => [name, verdict]));
  });
  assert.deepEqual(verdicts, {
    version: 'pass',
    role: 'pass',
    encoding: 'pass',
    // The tests' server is a throw-away one.
    durability: 'fail',
    'disk flush': 'fail',
    'shared memory': 'pass',
    connections: 'fail',
    clock: 'warn',
    extensions: 'pass',
    rights: 'pass',
  });
});

test('a user who may not make tables is told what to grant', async (t) => {
  const database = await testDatabase(t);
  const owner = database.open();
  const role = `guest_of_${database.name}`;
  await owner.query(`create role ${role} login; revoke create on schema public from public`);
  database.beforeDrop(async () => void (await owner.query(`drop role ${role}`)));
  const { address } = database;
  const guest = openPostgres({
    address:
      'url' in address
        ? { url: Object.assign(new URL(address.url), { username: role, password: '' }).href }
        : { ...address, user: role },
    applicationName: 'test',
  });
  const findings = await guest.withSession((session) =>
    checkPostgres({ session, connectionsNeeded: 1, nowMs: Date.now, monotonicMs: () => performance.now() }),
  );
  await guest.close();
  const rights = findings.find(({ name }) => name === 'rights');
  assert.equal(rights?.verdict, 'fail');
  assert.match(rights.fix, /GRANT CREATE ON SCHEMA public/);
});
