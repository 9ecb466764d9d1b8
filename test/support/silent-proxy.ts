// A stretch of network before PostgreSQL. It can swallow everything: connections through it stay open on both sides, and
// neither hears the other any more, as after a cable was pulled. Or it can be down, as if the server were gone.

import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { PostgresAddress } from '../../transport/index.ts';
import { type TestDatabase, temporaryFolder } from './database.ts';

export interface SilentProxy {
  address: PostgresAddress;
  /** Connections of now fall silent for good; later ones are not touched. */
  silence(): void;
  /** Ends every connection and takes no new one until `restore`. */
  cut(): void;
  restore(): void;
}

/** In front of the database's unix socket or host, closed after the test. */
export async function startSilentProxy(database: TestDatabase): Promise<SilentProxy> {
  const pairs: [Socket, Socket][] = [];
  let isCut = false;
  const port = 5432;
  const socketDir = temporaryFolder();
  const server = createServer((client) => {
    if (isCut) {
      client.destroy();
      return;
    }
    const upstream = connect(placeOf(database.address));
    pairs.push([client, upstream]);
    for (const socket of [client, upstream]) socket.on('error', () => undefined);
    client.pipe(upstream);
    upstream.pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(join(socketDir, `.s.PGSQL.${port}`), resolve));
  database.beforeDrop(async () => {
    for (const socket of pairs.flat()) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const url = 'url' in database.address ? new URL(database.address.url) : undefined;
  const user = 'user' in database.address ? database.address.user : decodeURIComponent(url?.username ?? '');
  return {
    address: { socketDir, port, user, database: database.name },
    cut: () => {
      isCut = true;
      for (const socket of pairs.splice(0).flat()) socket.destroy();
    },
    restore: () => {
      isCut = false;
    },
    silence: () => {
      for (const [client, upstream] of pairs) {
        client.unpipe(upstream);
        upstream.unpipe(client);
        client.pause();
        upstream.pause();
      }
    },
  };
}

function placeOf(address: PostgresAddress): { path: string } | { host: string; port: number } {
  if (!('url' in address)) return { path: join(address.socketDir, `.s.PGSQL.${address.port}`) };
  const url = new URL(address.url);
  const folder = url.searchParams.get('host');
  const port = Number(url.port || url.searchParams.get('port') || 5432);
  return folder === null ? { host: url.hostname, port } : { path: join(folder, `.s.PGSQL.${port}`) };
}
