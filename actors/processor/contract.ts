// What the processor of a partition receives: its session with storage, and word from itself to go on.

import type { SessionMessage } from '../storage/partition-session.ts';

export const processorKind = 'processor';

export type ProcessorMessage = SessionMessage | ContinueProcessing;

/** Jobs are left: the last slice ended before they did. */
export interface ContinueProcessing {
  kind: 'continueProcessing';
}
