// A stage of the product under measurement without the ones before it: jobs are stored as the stage before would store
// them, for many sources or destinations, and taken by the product's own actors on their threads. What the next stage
// would do is left to a consumer that is done at once.

import type { StoredRequest } from '../../actors/destinations/destination.ts';
import type { QueueName, RouterParameters } from '../../actors/job.ts';
import { laneOf } from '../../actors/lanes.ts';
import type { WorkspaceSnapshot } from '../../actors/services/workspace.ts';
import { parseWorkspaceFile } from '../../actors/services/workspace-file.ts';
import { JobRowWriter } from '../../actors/storage/job-row.ts';
import { pollUntil } from '../../test/support/poll.ts';
import { type SourceSpec, workspaceText } from '../../test/support/workspace-file.ts';
import { payloadOf, storedDelta, webhookRequest } from './job-frames.ts';
import type { RowFrame, StorageBench } from './storage-bench.ts';
import { storeJobs } from './storage-flows.ts';

/** Jobs of one frame: as many partitions as jobs when there are more. */
export const rowsPerFrame = 1000;
const drainedMs = 3_600_000;
const messagePrefix = 'message-';
const messageDigits = 12;
let messages = 0;
export const workspaceId = 'ws-test';

export interface StageJob {
  partition: string;
  sourceId: string;
  destinationId: string;
}

export function snapshotOf(sources: readonly SourceSpec[]): WorkspaceSnapshot {
  const bytes = Buffer.from(workspaceText(sources));
  const reading = parseWorkspaceFile({ path: 'bench.json', bytes, environment: {} });
  if (!reading.ok) throw new Error(`expected a good workspace, got ${JSON.stringify(reading.faults.slice(0, 3))}`);
  return { version: 1, hash: 'bench', loadedAtMs: Date.now(), sources: reading.sources };
}

/** Frames that together hold a job for each of `targets`, in turns. */
export function stageFrames(
  queue: Extract<QueueName, 'gw' | 'rt'>,
  targets: readonly StageJob[],
  { lanes, eventBytes, endpoint = '' }: { lanes: number; eventBytes: number; endpoint?: string },
): RowFrame[] {
  const frames: RowFrame[] = [];
  const lane = String(laneOf(workspaceId, lanes));
  for (let first = 0; first < Math.max(targets.length, 1); first += rowsPerFrame) {
    const writer = new JobRowWriter();
    const counts = new Map<string, { target: StageJob; count: number }>();
    for (let index = 0; index < rowsPerFrame; index += 1) {
      const target = targets[(first + index) % targets.length];
      if (target === undefined) break;
      const user = `user-${first + index}`;
      const parameters = queue === 'gw' ? gatewayParameters(target) : routerParameters(target, endpoint);
      const messageId = `${messagePrefix}${String(first + index).padStart(messageDigits, '0')}`;
      const { partition } = target;
      const job = { jobId: 0, parentId: 0, partition, userId: `<<>>${user}<<>>${user}`, messageId, parameters };
      writer.append({ ...job, receivedAtMs: Date.now() }, [eventOf(user, messageId, eventBytes)]);
      const name = `${target.sourceId} ${target.destinationId}`;
      const counted = counts.get(name);
      if (counted === undefined) counts.set(name, { target, count: 1 });
      else counted.count += 1;
    }
    const ledger = [...counts.values()].map(({ target, count }) => storedDelta({ queue, ...target }, count));
    const taken = writer.take();
    frames.push({ lane, ledger, ...taken, renewed: renewing(taken.rows) });
  }
  return frames;
}

/** Events with message ids that nobody has had: duplicates would be dropped, and cost next to nothing. */
function renewing(rows: Uint8Array): () => Uint8Array {
  const places: number[] = [];
  const text = Buffer.from(rows.buffer, rows.byteOffset, rows.byteLength);
  for (let at = text.indexOf(messagePrefix); at >= 0; at = text.indexOf(messagePrefix, at + 1)) places.push(at);
  return () => {
    const fresh = Buffer.from(rows);
    for (const [index, place] of places.entries()) {
      // The column and the event itself: two places for one id.
      if (index % 2 === 0) messages += 1;
      fresh.write(String(messages).padStart(messageDigits, '0'), place + messagePrefix.length, 'latin1');
    }
    return fresh;
  };
}

/** Jobs per second from the first one stored until nothing is pending. */
export async function stageRate(
  bench: StorageBench,
  queue: Extract<QueueName, 'gw' | 'rt'>,
  frames: readonly RowFrame[],
  jobs: number,
): Promise<number> {
  bench.consumers.isOpen = true;
  const beganAt = performance.now();
  const stored = await storeJobs(bench, queue, frames, jobs);
  await pollUntil(
    `${stored} jobs to be done`,
    async () => ((await bench.stats()).queues.every(({ pending }) => pending === 0) ? true : undefined),
    drainedMs,
  );
  return (stored / (performance.now() - beganAt)) * 1000;
}

function eventOf(userId: string, messageId: string, bytes: number): string {
  const now = new Date().toISOString();
  const times = { originalTimestamp: now, sentAt: now, receivedAt: now, timestamp: now };
  const head = { type: 'track', event: 'Order Completed', userId, messageId, ...times, context: {}, properties: {} };
  const text = JSON.stringify(head);
  const note = payloadOf(Math.max(bytes - text.length, 64)).slice(-Math.max(bytes - text.length - 12, 1) - 2, -2);
  return JSON.stringify({ ...head, properties: { note } });
}

function gatewayParameters({ sourceId }: StageJob): string {
  return JSON.stringify({ source_id: sourceId, workspace_id: workspaceId });
}

function routerParameters({ sourceId, destinationId }: StageJob, endpoint: string): string {
  const parameters: Omit<RouterParameters, 'request'> & { request: StoredRequest } = {
    source_id: sourceId,
    destination_id: destinationId,
    workspace_id: workspaceId,
    event_name: 'Order Completed',
    event_type: 'track',
    request: webhookRequest(endpoint),
  };
  return JSON.stringify(parameters);
}
