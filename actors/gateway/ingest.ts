// The rules an event request goes through, in the order of the field (spec/ingest.md 1.4): who sends, what arrived,
// is it JSON, are these events, do they say whose they are, is there room. The first rule that fails gives the answer
// and nothing is stored; otherwise the answer is that of the commit.

import type { ActorLog, Clock, Shards, SpanHandle, Tracing } from '../../runtime/index.ts';
import type { HttpRequest } from '../../transport/index.ts';
import type { Settings } from '../config.ts';
import { processorPartition, Splits } from '../isolation.ts';
import type { GatewayParameters } from '../job.ts';
import { laneOf } from '../lanes.ts';
import type { SourceConfig } from '../services/workspace.ts';
import { type Answer, answers } from './answers.ts';
import type { WriteKeyAuth } from './auth.ts';
import type { EventRows } from './event-rows.ts';
import { sanitise } from './event-text.ts';
import type { Gunzipper } from './gunzip.ts';
import type { StoreBatcher, StoreOutcome } from './store-batcher.ts';

/** Headers of the HTTP request that ingestion reads. */
export const ingestHeaderNames: readonly string[] = [
  'authorization',
  'content-encoding',
  'anonymousid',
  'x-forwarded-for',
  'traceparent',
  'x-rudder-job-run-id',
  'x-rudder-task-run-id',
];

/** Called exactly once, possibly before `accept` returns. */
export type AnswerWith = (answer: Answer) => void;

export interface IngestOptions {
  settings: Settings;
  auth: WriteKeyAuth;
  gunzipper: Gunzipper;
  rows: EventRows;
  batcher: StoreBatcher;
  tracing: Tracing;
  clock: Clock;
  log: ActorLog;
  diskLow(): boolean;
}

/** What a row takes besides the event: the other columns and the fill-ins. An estimate, for the room check only. */
const rowOverheadBytes = 512;
const msPerMinute = 60_000;

const outcomeAnswers: Readonly<Record<StoreOutcome, Answer>> = {
  stored: answers.ok,
  unavailable: answers.unavailable,
  refused: answers.refusedByStorage,
};

export class Ingest {
  readonly #options: IngestOptions;
  readonly #splits: Splits;
  readonly #sources = new WeakMap<SourceConfig, SourceFacts>();
  #lastAddress = '';
  #lastAddressJson = '""';

  constructor(options: IngestOptions) {
    this.#options = options;
    this.#splits = new Splits(options.settings.processor.shards);
  }

  /** `type`: what the route forces on its single event; undefined for a batch. */
  accept(request: HttpRequest, type: string | undefined, answerWith: AnswerWith): void {
    const span = this.#startSpan(request);
    const answer = span === undefined ? answerWith : endingSpan(span, answerWith);
    const authentication = this.#options.auth.authenticate(request.header('authorization'));
    if (!authentication.ok) {
      answer(authentication.answer);
    } else if (request.bodyTooLarge) {
      answer(answers.tooLarge);
    } else if (request.body.byteLength === 0) {
      answer(answers.noBody);
    } else if (this.#options.diskLow()) {
      answer(answers.unavailable);
    } else if (request.header('content-encoding') === 'gzip') {
      this.#unpack({ request, source: authentication.source, type, span, answer });
    } else {
      this.#ingest({ request, source: authentication.source, type, span, answer }, request.body);
    }
  }

  /** Only when somebody listens or somebody sent one: otherwise a request must not pay for tracing. */
  #startSpan(request: HttpRequest): SpanHandle | undefined {
    const { tracing } = this.#options;
    const incoming = request.header('traceparent');
    if (!tracing.enabled && incoming === '') return undefined;
    return tracing.start('gateway.request', { kind: 'server', ...(incoming === '' ? {} : { traceparent: incoming }) });
  }

  #unpack(accepted: Accepted): void {
    this.#options.gunzipper.unpack(accepted.request.body, (outcome) => {
      if (outcome.ok) this.#ingest(accepted, outcome.body);
      else accepted.answer(outcome.reason === 'tooLarge' ? answers.tooLarge : answers.unreadableBody);
    });
  }

  #ingest(accepted: Accepted, body: Buffer): void {
    try {
      const refusal = this.#store(accepted, body);
      if (refusal !== undefined) accepted.answer(refusal);
    } catch (error) {
      this.#options.log.error({ error }, 'expected a request to be handled without an error');
      accepted.answer(answers.failed);
    }
  }

  /** The answer that refuses the request; undefined when the commit will answer it. */
  #store({ request, source, type, span, answer }: Accepted, body: Buffer): Answer | undefined {
    const { rows, batcher, clock } = this.#options;
    const refusal = rows.read(body, type);
    if (refusal !== undefined) return refusal;
    if (!batcher.hasRoom(body.byteLength + rows.count * rowOverheadBytes)) return answers.unavailable;
    const receivedAtMs = clock.nowMs();
    const requestIpJson = this.#addressJson(clientAddress(request));
    const { lane, shards, parametersStart } = this.#factsOf(source);
    const anonymousId = request.header('anonymousid');
    const facts = {
      shards,
      receivedAtMs,
      parameters: this.#parameters(request, parametersStart + requestIpJson, span),
      requestIpJson,
      anonymousIdHeader: anonymousId === '' ? '' : sanitise(anonymousId),
      type,
    };
    batcher.store(lane, {
      sourceId: source.id,
      minute: Math.floor(receivedAtMs / msPerMinute),
      write: (writer) => rows.write(writer, facts),
      settle: (outcome) => answer(outcomeAnswers[outcome]),
    });
    return undefined;
  }

  /** JSON text of GatewayParameters; the client's address is the only part that nearly every request has of its own. */
  #parameters(request: HttpRequest, start: string, span: SpanHandle | undefined): string {
    const run = this.#options.rows.jobRun();
    const jobRunId = run.jobRunId === '' ? request.header('x-rudder-job-run-id') : run.jobRunId;
    const taskRunId = run.taskRunId === '' ? request.header('x-rudder-task-run-id') : run.taskRunId;
    let text = start;
    if (jobRunId !== '') text += `,"source_job_run_id":${JSON.stringify(jobRunId)}`;
    if (taskRunId !== '') text += `,"source_task_run_id":${JSON.stringify(taskRunId)}`;
    if (span?.traceparent !== undefined) text += `,"traceparent":${JSON.stringify(span.traceparent)}`;
    return `${text}}`;
  }

  #factsOf(source: SourceConfig): SourceFacts {
    const known = this.#sources.get(source);
    if (known !== undefined) return known;
    const start: GatewayParameters = { source_id: source.id, workspace_id: source.workspaceId };
    const { processor, storage } = this.#options.settings;
    const facts = {
      lane: String(laneOf(source.workspaceId, storage.lanes)),
      shards: this.#splits.shardsOf(processorPartition(processor.isolation, source.workspaceId, source.id)),
      parametersStart: `${JSON.stringify(start).slice(0, -1)},"request_ip":`,
    };
    this.#sources.set(source, facts);
    return facts;
  }

  /** Requests of one client often come in a row. */
  #addressJson(address: string): string {
    if (address !== this.#lastAddress) {
      this.#lastAddress = address;
      this.#lastAddressJson = JSON.stringify(address);
    }
    return this.#lastAddressJson;
  }
}

function endingSpan(span: SpanHandle, answerWith: AnswerWith): AnswerWith {
  return (given) => {
    span.end(given.status >= 500 ? { error: given.body.trimEnd() } : undefined);
    answerWith(given);
  };
}

/** What is the same for all requests of a source, worked out once. */
interface SourceFacts {
  /** Key of the storage actor. */
  lane: string;
  shards: Shards;
  /** GatewayParameters as JSON, open where the client's address comes. */
  parametersStart: string;
}

interface Accepted {
  request: HttpRequest;
  source: SourceConfig;
  type: string | undefined;
  span: SpanHandle | undefined;
  answer: AnswerWith;
}

/** First address of X-Forwarded-For, else the peer's. What a client claims here is recorded, never trusted. */
export function clientAddress(request: HttpRequest): string {
  const forwarded = request.header('x-forwarded-for');
  if (forwarded === '') return request.remoteAddress;
  const mark = forwarded.indexOf(',');
  const first = (mark < 0 ? forwarded : forwarded.slice(0, mark)).replaceAll(' ', '');
  return first === '' ? request.remoteAddress : sanitise(first);
}
