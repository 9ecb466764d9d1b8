// Which operating-system user runs the embedded PostgreSQL, and what that user can reach. Postgres refuses to run as
// root; as root we lend it another identity, which then must be able to enter every folder on the way to its files.

import { accessSync, constants, existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, parse } from 'node:path';
import { EmbeddedPostgresError } from './embedded-postgres-error.ts';

export interface OperatingSystemUser {
  name: string;
  uid: number;
  gid: number;
}

/** Users a root process lends to Postgres, best first. */
const candidates = ['postgres', 'nobody'] as const;

/**
 * Undefined for an ordinary user: Postgres runs as ourselves. As root: the owner of the cluster if there is one,
 * else `postgres`, else `nobody`.
 */
export function choosePostgresUser(clusterDir: string, passwdFile = '/etc/passwd'): OperatingSystemUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const users = readUsers(passwdFile);
  if (existsSync(`${clusterDir}/PG_VERSION`)) {
    const { uid, gid } = statSync(clusterDir);
    if (uid !== 0) return { name: users.find((user) => user.uid === uid)?.name ?? String(uid), uid, gid };
  }
  for (const name of candidates) {
    const user = users.find((each) => each.name === name && each.uid !== 0);
    if (user !== undefined) return user;
  }
  throw new EmbeddedPostgresError(
    'NO_OPERATING_SYSTEM_USER',
    `PostgreSQL refuses to run as root, and ${passwdFile} has neither a user postgres nor nobody.`,
    'Run Sluice as an ordinary user, or create a user named postgres.',
  );
}

/** Entries of a passwd file (passwd(5)): name:password:uid:gid:… */
function readUsers(passwdFile: string): OperatingSystemUser[] {
  const users: OperatingSystemUser[] = [];
  if (!existsSync(passwdFile)) return users;
  for (const line of readFileSync(passwdFile, 'utf8').split('\n')) {
    const [name, , uid, gid] = line.split(':');
    if (name === undefined || uid === undefined || gid === undefined || uid === '') continue;
    users.push({ name, uid: Number(uid), gid: Number(gid) });
  }
  return users;
}

/** Whether `user` may pass through every folder from the root to `path` itself (a folder that exists). */
export function canEnter(user: OperatingSystemUser | undefined, path: string): boolean {
  let folder: string;
  try {
    folder = realpathSync(path);
    if (user === undefined) {
      accessSync(folder, constants.X_OK);
      return true;
    }
  } catch {
    return false;
  }
  const { root } = parse(folder);
  for (;;) {
    if (!hasSearchRight(user, folder)) return false;
    if (folder === root) return true;
    folder = dirname(folder);
  }
}

/** Postgres is started without supplementary groups, so owner, group and others is all there is. */
function hasSearchRight(user: OperatingSystemUser, folder: string): boolean {
  const { uid, gid, mode } = statSync(folder);
  if (uid === user.uid) return (mode & 0o100) !== 0;
  if (gid === user.gid) return (mode & 0o010) !== 0;
  return (mode & 0o001) !== 0;
}
