// What the router of a partition receives: its session with storage, the end of deliveries, and its retry timer.

import type { SessionMessage } from '../storage/partition-session.ts';

export const routerKind = 'router';

export type RouterMessage = SessionMessage | DeliveriesCompleted | RetryDue;

/** At least one delivery ended since the last of these. */
export interface DeliveriesCompleted {
  kind: 'deliveriesCompleted';
}

export interface RetryDue {
  kind: 'retryDue';
}
