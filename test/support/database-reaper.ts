// Stops the tests' shared PostgreSQL when no test process is left, also when they were killed. A process of its own,
// because no test process knows that it is the last.

import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { startEmbeddedPostgres } from '../../transport/index.ts';
import { isAlive, tryLock } from '../../transport/process-lock.ts';
import { sharedServerFolder, sharedServerSettings, sharedServerUsers, silentLog } from './database.ts';

const lookMs = 500;
/** Looks without a user before the server is stopped: between two test files of a run there may be none. */
const idleLooksMax = 6;

function anyUser(): boolean {
  let found = false;
  for (const name of readdirSync(sharedServerUsers())) {
    if (isAlive(Number(name))) found = true;
    else rmSync(join(sharedServerUsers(), name), { force: true });
  }
  return found;
}

/** True when it is stopped. Holds the server's lock meanwhile, so that nobody can come to use it. */
async function stopUnused(): Promise<boolean> {
  const server = await startEmbeddedPostgres({
    dataDir: sharedServerFolder(),
    log: silentLog,
    settings: sharedServerSettings,
    restartWhenLost: false,
  });
  if (anyUser()) {
    server.release();
    return false;
  }
  await server.stop();
  return true;
}

const reaperLock = tryLock(join(sharedServerFolder(), 'reaper.lock'));
if (reaperLock !== undefined) {
  let idleLooks = 0;
  let stopped = false;
  while (!stopped) {
    await new Promise((resolve) => setTimeout(resolve, lookMs));
    idleLooks = anyUser() ? 0 : idleLooks + 1;
    // A start under way holds the lock, so the attempt fails: somebody came.
    if (idleLooks >= idleLooksMax) stopped = await stopUnused().catch(() => false);
  }
  reaperLock.release();
}
