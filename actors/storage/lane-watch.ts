// The last resort against a writer that hangs: every statement and every attempt to connect has an end of its own, so a
// writer that is at one of them for longer than all of them together is stuck. The lane is then given up and taken anew,
// with everything read back from Postgres; no other actor and no thread is touched.

import type { Clock } from '../../runtime/index.ts';
import { TransportError } from '../../transport/index.ts';

const lookMs = 1_000;

export interface LaneWatchOptions {
  lane: number;
  writer: { readonly attempt: number };
  clock: Clock;
  /** Beyond every limit an attempt has by itself. */
  stuckMs: number;
  onStuck(error: Error): void;
}

/** Answers the end of the watch. Looks are counted, not hours: a machine that slept is not stuck. */
export function watchLane({ lane, writer, clock, stuckMs, onStuck }: LaneWatchOptions): () => void {
  let seen = 0;
  let looks = 0;
  let timer = clock.setTimer(lookMs, look);
  function look(): void {
    looks = writer.attempt !== 0 && writer.attempt === seen ? looks + 1 : 0;
    seen = writer.attempt;
    if (looks * lookMs < stuckMs) {
      timer = clock.setTimer(lookMs, look);
      return;
    }
    const text = `the writer of lane ${lane} has been waiting for PostgreSQL for ${stuckMs / 1_000} s without end`;
    onStuck(new TransportError('LANE_STUCK', text, { retryable: true }));
  }
  return () => timer.cancel();
}
