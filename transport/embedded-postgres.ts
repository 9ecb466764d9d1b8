// A PostgreSQL of our own, for everybody who does not bring one: initialised in the data folder, reachable by a unix
// socket only, started and stopped by its own pg_ctl, and adopted when it still runs after we were killed.

import { lockDataFolder } from './data-folder-lock.ts';
import { EmbeddedPostgresError } from './embedded-postgres-error.ts';
import { type EmbeddedPostgres, type EmbeddedPostgresOptions, EmbeddedServer } from './embedded-server.ts';
import { preparePostgresBinaries } from './postgres-binaries.ts';
import { ensureCluster, openDataFolder, placeCluster } from './postgres-cluster.ts';
import type { Cluster } from './postgres-process.ts';
import { choosePostgresUser } from './postgres-user.ts';

export { type EmbeddedPostgresCode, EmbeddedPostgresError } from './embedded-postgres-error.ts';
export type { EmbeddedPostgres, EmbeddedPostgresLog, EmbeddedPostgresOptions } from './embedded-server.ts';

export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  if (process.platform === 'win32') {
    throw new EmbeddedPostgresError(
      'PLATFORM_UNSUPPORTED',
      'The embedded PostgreSQL runs on Linux and macOS only.',
      'Set SLUICE_POSTGRES_URL to a PostgreSQL server of yours.',
    );
  }
  const dataDir = openDataFolder(options.dataDir);
  const lock = await lockDataFolder(dataDir, options.sharing ?? 'exclusive');
  try {
    const sharedDirs = options.sharedDirs ?? ['/var/lib/sluice', `/var/tmp/sluice-${process.getuid?.() ?? 0}`];
    const { dir, user } = placeCluster(dataDir, sharedDirs, (clusterDir) =>
      choosePostgresUser(clusterDir, options.passwdFile),
    );
    const nativeDir = options.nativeDir;
    const binaries = preparePostgresBinaries({ user, sharedDirs, ...(nativeDir === undefined ? {} : { nativeDir }) });
    const cluster: Cluster = { dir, user, binaries };
    const initialised = await ensureCluster(cluster, dataDir);
    const server = new EmbeddedServer(cluster, dataDir, options, lock, initialised);
    await server.bringUp();
    return server;
  } catch (error) {
    lock.release();
    throw error;
  }
}
