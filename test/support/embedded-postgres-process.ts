// A program that starts the embedded PostgreSQL, says so to its parent and then waits, so that tests can kill it.
// Forked with the options as JSON in its only argument; answers `{ pid, adopted }` or `{ code, message }`.

import { EmbeddedPostgresError, type EmbeddedPostgresOptions, startEmbeddedPostgres } from '../../transport/index.ts';
import { silentLog } from './database.ts';

const options = JSON.parse(process.argv[2] ?? '{}') as Omit<EmbeddedPostgresOptions, 'log'>;
try {
  const server = await startEmbeddedPostgres({ ...options, log: silentLog });
  process.send?.({ pid: server.pid, adopted: server.adopted });
  process.once('message', () => {
    server.stop().then(
      () => process.disconnect(),
      () => process.exit(1),
    );
  });
} catch (error) {
  const code = error instanceof EmbeddedPostgresError ? error.code : 'UNEXPECTED';
  process.send?.({ code, message: String(error) });
  process.disconnect();
}
