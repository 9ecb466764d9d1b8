// The libraries that weigh most, loaded by the thread that needs them: a thread that only delivers has no use for a
// database driver, nor one that only stores for an HTTP client, and each costs every thread megabytes and start time.
// Whoever opens a client or a database loads its library then and there, at the start of its thread, not amid its work.

import { createRequire } from 'node:module';
import type * as CopyStreams from 'pg-copy-streams';
import type PgPromise from 'pg-promise';
import type * as Undici from 'undici';

const require = createRequire(import.meta.url);

export function loadUndici(): typeof Undici {
  return require('undici') as typeof Undici;
}

export function loadPgPromise(): typeof PgPromise {
  return require('pg-promise') as typeof PgPromise;
}

export function loadCopyStreams(): typeof CopyStreams {
  return require('pg-copy-streams') as typeof CopyStreams;
}
