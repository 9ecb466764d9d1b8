// What the router of a partition receives: its session with storage, the end of deliveries, and its retry timer.

import type { SessionMessage } from '../storage/partition-session.ts';

export const routerKind = 'router';

export type RouterMessage = SessionMessage | DeliveriesCompleted | RetryDue | HoldDue | ControlsChanged;

/** At least one delivery ended since the last of these. */
export interface DeliveriesCompleted {
  kind: 'deliveriesCompleted';
}

export interface RetryDue {
  kind: 'retryDue';
}

/** Jobs that were held back (a paused destination, an open breaker) are looked at again. */
export interface HoldDue {
  kind: 'holdDue';
}

/** The operator decided something anew: jobs that wait for a retry may have to be given up now. */
export interface ControlsChanged {
  kind: 'controlsChanged';
}
