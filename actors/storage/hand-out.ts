// How many committed rows go into one message to a consumer, and the message's bytes. Pure; hand-off.ts decides whose
// turn it is.

import type { StoredRow } from './partition.ts';

/** Rows of one `jobs` message: small enough that handling it fits a scheduler slice. */
export const messageRowsMax = 128;
/** Bytes of one `jobs` message, unless a single row is larger: far below what a mailbox or a link takes. */
const messageBytesMax = 1024 * 1024;

export function concatRows(rows: readonly StoredRow[]): Buffer {
  let bytes = 0;
  for (const row of rows) bytes += row.byteLength;
  const joined = Buffer.allocUnsafe(bytes);
  let at = 0;
  for (const { source, start, byteLength } of rows) at += source.copy(joined, at, start, start + byteLength);
  return joined;
}

/** How many of `rows`, from `at` on, go into one message: at least one, if there is any. */
export function messageRows(rows: readonly StoredRow[], at: number, countMax: number): number {
  const end = Math.min(rows.length, at + countMax, at + messageRowsMax);
  let bytes = 0;
  for (let index = at; index < end; index += 1) {
    bytes += rows[index]?.byteLength ?? 0;
    if (bytes > messageBytesMax) return Math.max(1, index - at);
  }
  return end - at;
}
