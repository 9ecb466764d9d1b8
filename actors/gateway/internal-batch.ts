// POST /internal/v1/batch: stores what another gateway has accepted, events of any sources in one request. It is answered
// once every lane has committed its part; when one could not, the sender sends all of it again, with the same message ids.

import { visitorOf } from '../isolation.ts';
import type { JobRowWriter } from '../storage/job-row.ts';
import { answers } from './answers.ts';
import { type AnswerWith, type Ingest, outcomeAnswers } from './ingest.ts';
import type { InternalMessage, InternalMessages } from './internal-messages.ts';
import type { StoreBatcher, StoreOutcome } from './store-batcher.ts';

const msPerMinute = 60_000;
const rowOverheadBytes = 512;

export interface InternalBatchOptions {
  messages: InternalMessages;
  batcher: StoreBatcher;
  ingest: Pick<Ingest, 'placeOf'>;
  isWorkspaceFull(workspaceId: string): boolean;
}

interface Part {
  sourceId: string;
  workspaceId: string;
  minute: number;
  jobRunId: string;
  taskRunId: string;
  messages: InternalMessage[];
}

export function storeInternalBatch(options: InternalBatchOptions, body: Buffer, answerWith: AnswerWith): void {
  const { batcher, ingest } = options;
  const read = options.messages.read(body);
  if (!read.ok) {
    answerWith(read.reason === 'invalidJson' ? answers.invalidJson : answers.notAnEvent);
    return;
  }
  if (!batcher.hasRoom(body.byteLength + read.messages.length * rowOverheadBytes)) {
    answerWith(answers.unavailable);
    return;
  }
  const parts = partsOf(read.messages);
  // All or nothing, as for every other reason: the sender keeps the whole batch.
  if (parts.some(({ workspaceId }) => options.isWorkspaceFull(workspaceId))) {
    answerWith(answers.workspaceFull);
    return;
  }
  const outcomes: StoreOutcome[] = [];
  const settle = (outcome: StoreOutcome, refusedRows?: readonly number[]): void => {
    outcomes.push(refusedRows === undefined ? outcome : 'refused');
    if (outcomes.length === parts.length) answerWith(outcomeAnswers[worstOf(outcomes)]);
  };
  for (const { sourceId, workspaceId, minute, jobRunId, taskRunId, messages } of parts) {
    const { lane, shards } = ingest.placeOf({ id: sourceId, workspaceId });
    const write = (writer: JobRowWriter): void => {
      for (const { routingKey: userId, messageId, receivedAtMs, parameters, payload } of messages) {
        const partition = shards.isSplit ? shards.keyOf(visitorOf(userId)) : shards.partition;
        writer.append({ jobId: 0, parentId: 0, partition, userId, messageId, receivedAtMs, parameters }, [payload]);
      }
    };
    const jobRun = jobRunId === '' ? undefined : { jobRunId, taskRunId };
    batcher.store(lane, { sourceId, minute, jobRun, write, settle });
  }
}

/** Events of one source, minute and job run are counted together; those of one source keep their order. */
function partsOf(messages: readonly InternalMessage[]): Part[] {
  const parts = new Map<string, Part>();
  for (const message of messages) {
    const { sourceId, workspaceId, receivedAtMs, jobRunId, taskRunId } = message;
    const minute = Math.floor(receivedAtMs / msPerMinute);
    const key = JSON.stringify([minute, sourceId, jobRunId, taskRunId]);
    const part = parts.get(key) ?? { sourceId, workspaceId, minute, jobRunId, taskRunId, messages: [] };
    part.messages.push(message);
    parts.set(key, part);
  }
  return [...parts.values()];
}

function worstOf(outcomes: readonly StoreOutcome[]): StoreOutcome {
  if (outcomes.includes('unavailable')) return 'unavailable';
  return outcomes.includes('refused') ? 'refused' : 'stored';
}
