// Jobs for the storage benchmark, encoded once as the gateway encodes them: 1 KB events that do not compress.

import { randomBytes, randomUUID } from 'node:crypto';
import { encodeRequest, type StoredRequest } from '../../actors/destinations/destination.ts';
import type { QueueName } from '../../actors/job.ts';
import type { LedgerDelta } from '../../actors/storage/contract.ts';
import { JobRowWriter } from '../../actors/storage/job-row.ts';

export const sourceId = 'src-bench';
export const destinationId = 'dst-bench';

export function encodeRows(
  partitions: readonly string[],
  count: number,
  eventBytes: number,
): { rows: Uint8Array; count: number } {
  const writer = new JobRowWriter();
  const parameters = JSON.stringify({ source_id: sourceId, workspace_id: 'ws-bench' });
  const receivedAtMs = Date.now();
  for (let index = 0; index < count; index += 1) {
    const partition = partitions[index % partitions.length] ?? '';
    const userId = `<<>>user-${index}<<>>user-${index}`;
    const job = { jobId: 0, parentId: 0, partition, userId, messageId: randomUUID(), receivedAtMs, parameters };
    writer.append(job, [payloadOf(eventBytes)]);
  }
  return writer.take();
}

/** JSON of exactly this size that does not compress. */
export function payloadOf(bytes: number): string {
  const event = { type: 'track', event: 'Order Completed', note: '' };
  const missing = Math.max(bytes - JSON.stringify(event).length, 0);
  event.note = randomBytes(missing).toString('base64url').slice(0, missing);
  return JSON.stringify(event);
}

/** What is counted when jobs are stored: by the gateway for its queue, by the processor for those behind it. */
export function storedDelta(
  { queue, sourceId, destinationId }: { queue: QueueName; sourceId: string; destinationId: string },
  count: number,
): LedgerDelta {
  const minute = Math.floor(Date.now() / 60_000);
  return queue === 'gw'
    ? { minute, sourceId, destinationId: '', kind: 'accepted', count }
    : { minute, sourceId, destinationId, kind: 'routed', count };
}

/** What the product stores of a webhook whose settings name nothing but an address. */
export function webhookRequest(endpoint: string): StoredRequest {
  return JSON.parse(encodeRequest({ method: 'POST', endpoint, headers: {}, params: {}, format: 'JSON' }));
}
