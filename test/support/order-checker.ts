// Compares what was acknowledged with what arrived: what was lost, what came twice and under which key, and whether
// every user's events came in the order in which they were sent.

export interface SentEvent {
  userId: string;
  /** Ascending per user in the order of sending. */
  sequence: number;
  messageId: string;
}

export interface ArrivedEvent extends SentEvent {
  idempotencyKey: string;
}

export interface DeliveryReport {
  /** Sent and never arrived. */
  lost: string[];
  /** Arrived and never sent. */
  unknown: string[];
  /** Arrived more than once, with the same idempotency key each time. */
  duplicates: string[];
  /** Arrived more than once with different idempotency keys, so that a destination cannot tell. */
  unrecognisable: string[];
  /** First arrivals after a later event of the same user. */
  outOfOrder: string[];
}

/** `arrived` in order of arrival. What may have been sent or not (no answer came) is in `uncertain`, not in `sent`. */
export function checkDeliveries(
  sent: readonly SentEvent[],
  arrived: readonly ArrivedEvent[],
  uncertain: readonly SentEvent[] = [],
): DeliveryReport {
  const expected = new Set([...sent, ...uncertain].map(({ messageId }) => messageId));
  const keyByMessage = new Map<string, string>();
  const lastByUser = new Map<string, number>();
  const report: DeliveryReport = { lost: [], unknown: [], duplicates: [], unrecognisable: [], outOfOrder: [] };
  for (const { userId, sequence, messageId, idempotencyKey } of arrived) {
    const key = keyByMessage.get(messageId);
    if (key !== undefined) {
      (key === idempotencyKey ? report.duplicates : report.unrecognisable).push(messageId);
      continue;
    }
    keyByMessage.set(messageId, idempotencyKey);
    if (!expected.has(messageId)) report.unknown.push(messageId);
    if (sequence <= (lastByUser.get(userId) ?? -1)) report.outOfOrder.push(messageId);
    lastByUser.set(userId, Math.max(sequence, lastByUser.get(userId) ?? -1));
  }
  for (const { messageId } of sent) if (!keyByMessage.has(messageId)) report.lost.push(messageId);
  return report;
}

/** Attempts of a run without a crash: no event may be tried while an earlier one of its user may still be retried. */
export function findOvertaking(attempts: readonly { userId: string; sequence: number }[]): string[] {
  const lastByUser = new Map<string, number>();
  const overtaken: string[] = [];
  for (const { userId, sequence } of attempts) {
    const last = lastByUser.get(userId) ?? 0;
    if (sequence < last) overtaken.push(`${userId}: ${sequence} after ${last}`);
    lastByUser.set(userId, sequence);
  }
  return overtaken;
}
