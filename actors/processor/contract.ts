// What the processor of a partition receives: its session with storage, and word from itself to go on.

import type { SeenFound } from '../storage/contract.ts';
import type { SessionMessage } from '../storage/partition-session.ts';

export const processorKind = 'processor';

export type ProcessorMessage = SessionMessage | ContinueProcessing | SeenRead;

/** An answer of storage to `readSeen`, or why there is none. */
export interface SeenRead {
  kind: 'seenRead';
  /** Only the answer to the newest question counts. */
  ticket: number;
  found: SeenFound | undefined;
  failure: string;
}

/** Jobs are left: the last slice ended before they did. */
export interface ContinueProcessing {
  kind: 'continueProcessing';
}
