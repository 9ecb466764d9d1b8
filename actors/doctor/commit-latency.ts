// Whether a commit truly reaches the disk, judged by how long it takes: a flush that costs nothing was not made. The
// figure is a commit's median less that of a round trip, so that the way to the server does not count.

import type { PostgresSession } from '../../transport/index.ts';
import { type Finding, failed, passed, warned } from './contract.ts';

const name = 'disk flush';
const rounds = 40;
/** No disk without a cache that survives a power cut is faster; a good drive with one is near it. */
const implausibleMs = 0.015;
const slowMs = 20;
/** Farther away than this the round trip hides the flush. */
const nearMs = 1;

export interface CommitLatency {
  roundTripMs: number;
  /** Median of a commit less the round trip. */
  flushMs: number;
}

/** Writes a few messages to the write-ahead log that nobody reads; nothing else is changed. */
export async function measureCommits(session: PostgresSession, monotonicMs: () => number): Promise<CommitLatency> {
  const timed = async (text: string): Promise<number> => {
    const samples: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const startedMs = monotonicMs();
      await session.query(text);
      samples.push(monotonicMs() - startedMs);
    }
    return samples.sort((a, b) => a - b)[rounds / 2] ?? 0;
  };
  const roundTripMs = await timed('select 1');
  const commitMs = await timed("select pg_logical_emit_message(true, 'sluice', 'doctor')");
  return { roundTripMs, flushMs: Math.max(0, commitMs - roundTripMs) };
}

export function judgeCommits({ roundTripMs, flushMs }: CommitLatency, fsync: string): Finding {
  const found = `a commit takes ${flushMs.toFixed(2)} ms beyond the round trip of ${roundTripMs.toFixed(2)} ms`;
  if (fsync !== 'on') return failed(name, `not made: fsync is ${fsync}`, 'Set fsync = on and restart PostgreSQL.');
  if (flushMs < implausibleMs && roundTripMs < nearMs) {
    return warned(
      name,
      `the disk lies: ${found}, faster than any disk can be`,
      'Keep the data on a disk that flushes (no RAM disk, no "unsafe" write cache of a virtual machine), unless its cache survives a power cut.',
    );
  }
  if (flushMs > slowMs) {
    return warned(name, `slow: ${found}`, 'Single events wait so long for their answer: use a faster disk.');
  }
  return passed(name, found);
}
