// The rules an event request goes through, in the order of the field (spec/ingest.md 1.4): who sends, what arrived,
// is it JSON, are these events, do they say whose they are, is there room. A rule that the request breaks refuses it
// whole; one that an event breaks refuses that event, and its neighbours are stored. The answer is that of the first
// rule broken, otherwise that of the commit.

import type { ActorLog, Clock, Shards, SpanHandle, Tracing } from '../../runtime/index.ts';
import type { HttpRequest } from '../../transport/index.ts';
import type { Settings } from '../config.ts';
import { processorPartition, Splits } from '../isolation.ts';
import type { GatewayParameters } from '../job.ts';
import { laneOf } from '../lanes.ts';
import type { EventGate, JobRunClaim } from '../services/event-gate.ts';
import type { SourceConfig } from '../services/workspace.ts';
import type { Admission } from './admission.ts';
import { type Answer, answers, gateAnswer, verdictsAnswer } from './answers.ts';
import type { WriteKeyAuth } from './auth.ts';
import type { ClientAddresses } from './client-address.ts';
import type { EventRows, JobRun, RequestFacts } from './event-rows.ts';
import { keyText, runIdText, sanitise } from './event-text.ts';
import type { Gunzipper } from './gunzip.ts';
import type { LiveEvents } from './live-events.ts';
import { answerOf, type Told } from './store-answer.ts';
import type { StoreBatcher } from './store-batcher.ts';

/** Headers of the HTTP request that ingestion reads. */
export const ingestHeaderNames: readonly string[] = [
  'authorization',
  'content-encoding',
  'anonymousid',
  'x-forwarded-for',
  'traceparent',
  'x-rudder-job-run-id',
  'x-rudder-task-run-id',
  'x-sluice-verdicts',
];

/** Called exactly once, possibly before `accept` returns. */
export type AnswerWith = (answer: Answer) => void;

/** What differs between the routes, beside how they authenticate. */
export interface Feed {
  /** Forced on the single event; undefined: a batch, whose events keep theirs. */
  type: string | undefined;
  /** The only destination its events go to; '' = all. */
  destinationId?: string;
  /** Who sends has shown the admin token. */
  isInternal?: boolean;
  /** Replayed events were received when they say. */
  keepsReceivedAt?: boolean;
}

export interface IngestOptions {
  settings: Settings;
  auth: WriteKeyAuth;
  gunzipper: Gunzipper;
  rows: EventRows;
  batcher: StoreBatcher;
  admission: Admission;
  gate: EventGate;
  /** Too much of this workspace waits: it may not send now, others may. */
  isWorkspaceFull(workspaceId: string): boolean;
  addresses: ClientAddresses;
  live: LiveEvents;
  tracing: Tracing;
  clock: Clock;
  log: ActorLog;
}

/** What a row takes besides the event: the other columns and the fill-ins. An estimate, for the room check only. */
const rowOverheadBytes = 512;
const msPerMinute = 60_000;
const traceparentCharactersMax = 128;

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

  /** With the write key by Basic authentication. */
  accept(request: HttpRequest, feed: Feed, answerWith: AnswerWith): void {
    const span = this.#startSpan(request);
    const answer = span === undefined ? answerWith : endingSpan(span, answerWith);
    const authentication = this.#options.auth.authenticate(request.header('authorization'));
    if (authentication.ok) this.#admit({ request, source: authentication.source, feed, span, answer });
    else answer(authentication.answer);
  }

  /** The same for a source that was found in another way. */
  acceptFrom(source: SourceConfig, request: HttpRequest, feed: Feed, answerWith: AnswerWith): void {
    const span = this.#startSpan(request);
    this.#admit({
      request,
      source,
      feed,
      span,
      answer: span === undefined ? answerWith : endingSpan(span, answerWith),
    });
  }

  /** Events that we made of a request ourselves. */
  acceptMade(source: SourceConfig, request: HttpRequest, feed: Feed, made: Buffer, answerWith: AnswerWith): void {
    const span = this.#startSpan(request);
    const answer = span === undefined ? answerWith : endingSpan(span, answerWith);
    if (this.#options.admission.refuses()) answer(answers.unavailable);
    else if (this.#options.isWorkspaceFull(source.workspaceId)) answer(answers.workspaceFull);
    else this.#ingest({ request, source, feed, span, answer }, made);
  }

  /** The request's body, whole and unpacked; `refused` when there is none to be had. Valid until `read` returns. */
  readBody(request: HttpRequest, refused: AnswerWith, read: (body: Buffer) => void): void {
    if (request.bodyTooLarge) {
      refused(answers.tooLarge);
    } else if (request.body.byteLength === 0) {
      refused(answers.noBody);
    } else if (this.#options.admission.refuses()) {
      refused(answers.unavailable);
    } else if (request.header('content-encoding') === 'gzip') {
      this.#options.gunzipper.unpack(request.body, (outcome) => {
        if (outcome.ok) read(outcome.body);
        else refused(outcome.reason === 'tooLarge' ? answers.tooLarge : answers.unreadableBody);
      });
    } else {
      read(request.body);
    }
  }

  /** Where the rows of a source belong. */
  placeOf(source: Pick<SourceConfig, 'id' | 'workspaceId'>): { lane: string; shards: Shards } {
    const { processor, storage } = this.#options.settings;
    return {
      lane: String(laneOf(source.workspaceId, storage.lanes)),
      shards: this.#splits.shardsOf(processorPartition(processor.isolation, source.workspaceId, source.id)),
    };
  }

  #admit(accepted: Accepted): void {
    if (this.#options.isWorkspaceFull(accepted.source.workspaceId)) accepted.answer(answers.workspaceFull);
    else this.readBody(accepted.request, accepted.answer, (body) => this.#ingest(accepted, body));
  }

  /** Only when somebody listens or somebody sent one: otherwise a request must not pay for tracing. */
  #startSpan(request: HttpRequest): SpanHandle | undefined {
    const { tracing } = this.#options;
    // Every event of the request carries it.
    const incoming = request.header('traceparent').slice(0, traceparentCharactersMax);
    if (!tracing.enabled && incoming === '') return undefined;
    return tracing.start('gateway.request', { kind: 'server', ...(incoming === '' ? {} : { traceparent: incoming }) });
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
  #store({ request, source, feed, span, answer }: Accepted, body: Buffer): Answer | undefined {
    const { rows, batcher, clock, gate, live } = this.#options;
    const refusal = rows.read(body, feed.type);
    if (refusal !== undefined) return refusal;
    const { firstRefusal } = rows;
    const { lane, shards, parametersStart, tellsVerdicts } = this.#factsOf(source);
    const asked = request.header('x-sluice-verdicts');
    const wantsVerdicts = asked === '' ? tellsVerdicts : asked === '1';
    if (rows.goodCount === 0 && firstRefusal !== undefined) {
      return wantsVerdicts ? verdictsAnswer(firstRefusal.status, rows.verdicts([])) : firstRefusal;
    }
    if (!batcher.hasRoom(body.byteLength + rows.count * rowOverheadBytes)) return answers.unavailable;
    const held = gate.check(source, rows, jobRunClaim(request, feed));
    if (held !== undefined) return gateAnswer(held);
    const receivedAtMs = clock.nowMs();
    const requestIpJson = this.#addressJson(this.#options.addresses.of(request));
    const jobRun = this.#jobRun(request);
    const sampleMax = live.wanted(source.id);
    const anonymousId = request.header('anonymousid');
    const facts: RequestFacts = {
      shards,
      receivedAtMs,
      parameters: parametersOf(parametersStart + requestIpJson, jobRun, feed, span),
      requestIpJson,
      anonymousIdHeader: anonymousId === '' ? '' : keyText(sanitise(anonymousId)),
      type: feed.type,
      sampled: sampleMax === 0 ? undefined : [],
      sampleMax,
      messageIds: wantsVerdicts ? [] : undefined,
      keepsReceivedAt: feed.keepsReceivedAt === true,
    };
    const told: Told = { firstRefusal, verdicts: undefined, stored: [] };
    batcher.store(lane, {
      sourceId: source.id,
      minute: Math.floor(receivedAtMs / msPerMinute),
      suppressed: rows.suppressedCount,
      jobRun: jobRun?.jobRunId === '' ? undefined : jobRun,
      write: (writer) => {
        rows.write(writer, facts);
        if (facts.messageIds !== undefined) told.verdicts = rows.verdicts(facts.messageIds, told.stored);
      },
      settle: (outcome, refusedRows) => {
        answer(answerOf(told, outcome, refusedRows));
        if (facts.sampled !== undefined && outcome === 'stored') live.offer(source.id, receivedAtMs, facts.sampled);
      },
    });
    return undefined;
  }

  /** Undefined when neither the events nor the headers name one. */
  #jobRun(request: HttpRequest): JobRun | undefined {
    const run = this.#options.rows.jobRun();
    const jobRunId = run.jobRunId === '' ? request.header('x-rudder-job-run-id') : run.jobRunId;
    const taskRunId = run.taskRunId === '' ? request.header('x-rudder-task-run-id') : run.taskRunId;
    if (jobRunId === '' && taskRunId === '') return undefined;
    return { jobRunId: runIdText(jobRunId), taskRunId: runIdText(taskRunId) };
  }

  #factsOf(source: SourceConfig): SourceFacts {
    const known = this.#sources.get(source);
    if (known !== undefined) return known;
    const start: GatewayParameters = { source_id: source.id, workspace_id: source.workspaceId };
    const facts = {
      ...this.placeOf(source),
      parametersStart: `${JSON.stringify(start).slice(0, -1)},"request_ip":`,
      tellsVerdicts: source.config.verdicts === true,
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

/** JSON text of GatewayParameters; the client's address is the only part that nearly every request has of its own. */
function parametersOf(start: string, run: JobRun | undefined, feed: Feed, span: SpanHandle | undefined): string {
  let text = start;
  if (run !== undefined) {
    if (run.jobRunId !== '') text += `,"source_job_run_id":${JSON.stringify(run.jobRunId)}`;
    if (run.taskRunId !== '') text += `,"source_task_run_id":${JSON.stringify(run.taskRunId)}`;
  }
  if (feed.destinationId !== undefined) text += `,"destination_id":${JSON.stringify(feed.destinationId)}`;
  if (span?.traceparent !== undefined) text += `,"traceparent":${JSON.stringify(span.traceparent)}`;
  return `${text}}`;
}

function jobRunClaim(request: HttpRequest, { isInternal }: Feed): JobRunClaim {
  if (request.header('x-rudder-job-run-id') === '' && request.header('x-rudder-task-run-id') === '') return 'none';
  return isInternal === true ? 'proven' : 'claimed';
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
  /** Its clients want to know about each event, unless a request says something else. */
  tellsVerdicts: boolean;
  /** GatewayParameters as JSON, open where the client's address comes. */
  parametersStart: string;
}

interface Accepted {
  request: HttpRequest;
  source: SourceConfig;
  feed: Feed;
  span: SpanHandle | undefined;
  answer: AnswerWith;
}
