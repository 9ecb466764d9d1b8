// POST /internal/v1/batch: stores what another gateway has accepted, events of any sources in one request. It is answered
// once every lane has committed its part; when one could not, the sender sends all of it again, with the same message ids.

import { visitorOf } from '../isolation.ts';
import type { EventGate } from '../services/event-gate.ts';
import type { JobRowWriter } from '../storage/job-row.ts';
import { answers } from './answers.ts';
import type { AnswerWith, Ingest } from './ingest.ts';
import type { InternalMessage, InternalMessages } from './internal-messages.ts';
import { outcomeAnswers } from './store-answer.ts';
import type { StoreBatcher, StoreOutcome } from './store-batcher.ts';

const msPerMinute = 60_000;
const rowOverheadBytes = 512;

export interface InternalBatchOptions {
  messages: InternalMessages;
  batcher: StoreBatcher;
  ingest: Pick<Ingest, 'placeOf'>;
  gate: Pick<EventGate, 'verdictOf'>;
  isWorkspaceFull(workspaceId: string): boolean;
}

interface Part {
  sourceId: string;
  workspaceId: string;
  minute: number;
  jobRunId: string;
  taskRunId: string;
  messages: InternalMessage[];
  /** Counted, not stored. */
  suppressed: number;
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
  const parts = partsOf(read.messages, options.gate);
  if (parts === undefined) {
    answerWith(answers.unavailable);
    return;
  }
  // All or nothing, as for every other reason: the sender keeps the whole batch.
  if (parts.some(({ workspaceId }) => options.isWorkspaceFull(workspaceId))) {
    answerWith(answers.workspaceFull);
    return;
  }
  const outcomes: StoreOutcome[] = [];
  const settle = (outcome: StoreOutcome, refusedRows?: readonly number[]): void => {
    outcomes.push((refusedRows ?? []).length === 0 ? outcome : 'refused');
    if (outcomes.length === parts.length) answerWith(outcomeAnswers[worstOf(outcomes)]);
  };
  for (const { sourceId, workspaceId, minute, jobRunId, taskRunId, messages, suppressed } of parts) {
    const { lane, shards } = ingest.placeOf({ id: sourceId, workspaceId });
    const write = (writer: JobRowWriter): void => {
      for (const { routingKey: userId, messageId, receivedAtMs, parameters, payload } of messages) {
        const partition = shards.isSplit ? shards.keyOf(visitorOf(userId)) : shards.partition;
        writer.append({ jobId: 0, parentId: 0, partition, userId, messageId, receivedAtMs, parameters }, [payload]);
      }
    };
    const jobRun = jobRunId === '' ? undefined : { jobRunId, taskRunId };
    batcher.store(lane, { sourceId, minute, suppressed, jobRun, write, settle });
  }
}

/**
 * Events of one source, minute and job run are counted together; those of one source keep their order. Undefined: it is
 * not known which of them belong to suppressed users.
 */
function partsOf(messages: readonly InternalMessage[], gate: Pick<EventGate, 'verdictOf'>): Part[] | undefined {
  const parts = new Map<string, Part>();
  for (const message of messages) {
    const { sourceId, workspaceId, receivedAtMs, jobRunId, taskRunId } = message;
    const verdict = gate.verdictOf(workspaceId, message.userId, sourceId);
    if (verdict === 'unknown') return undefined;
    const minute = Math.floor(receivedAtMs / msPerMinute);
    const key = JSON.stringify([minute, sourceId, jobRunId, taskRunId]);
    const part = parts.get(key) ?? { sourceId, workspaceId, minute, jobRunId, taskRunId, messages: [], suppressed: 0 };
    if (verdict === 'suppressed') part.suppressed += 1;
    else part.messages.push(message);
    parts.set(key, part);
  }
  return [...parts.values()];
}

function worstOf(outcomes: readonly StoreOutcome[]): StoreOutcome {
  if (outcomes.includes('unavailable')) return 'unavailable';
  return outcomes.includes('refused') ? 'refused' : 'stored';
}
