// Has the events of sources that want it completed by the transformer before anything else is done with them
// (spec/ingest.md 4.5). What the transformer says about an event is final: it goes on as it came back, or is given up and
// kept. A transformer that is away says nothing: the source's events wait, and nobody else's do.
//
// A slice: gathered → asked, by source in chunks → answered, with every event's outcome. A chunk that fails as a whole is
// asked about event by event; what could not be asked is asked again after a growing pause.

import type { ActorContext } from '../../runtime/index.ts';
import { HttpClient } from '../../transport/index.ts';
import { isObject } from '../destinations/destination.ts';
import { transformerUrl } from '../services/transformer-features.ts';
import type { SourceConfig } from '../services/workspace.ts';
import { bufferOver } from '../storage/job-row.ts';
import type { HandedJob } from '../storage/partition-session.ts';
import { askTransformer, type TransformerAnswer } from '../transformer/transformer-http.ts';
import type { Hydrated, HydratedEvents, HydrationAsk, ProcessorMessage } from './contract.ts';
import { readParameters } from './event-text.ts';
import type { PipelineContext } from './pipeline.ts';
import type { Ending } from './stage.ts';

/** What all processors of a thread have in common. */
export interface HydrationService {
  /** '': there is none. */
  readonly url: string;
  readonly timeoutMs: number;
  http(): HttpClient;
}

const chunkMax = 100;
const retryMsMin = 500;
const retryMsMax = 30_000;
const answerBytesMax = 64 * 1024 * 1024;
const connectionsMax = 8;
const failedCode = 500;

/** One HTTP client for all of a thread, made with the first ask. */
export function hydrationService({ url, timeoutMs }: { url: string; timeoutMs: number }): HydrationService {
  let client: HttpClient | undefined;
  return {
    url,
    timeoutMs,
    http: () => {
      client ??= new HttpClient({ connectionsMax, responseBytesMax: answerBytesMax, drainBytesMax: answerBytesMax });
      return client;
    },
  };
}

export class Hydration {
  readonly events: HydratedEvents = new WeakMap();
  readonly #context: ActorContext<ProcessorMessage>;
  readonly #service: HydrationService;
  #slice = 0;
  #unanswered = 0;
  /** For their names: each waits by itself. */
  #timers = 0;

  constructor(context: ActorContext<ProcessorMessage>, service: HydrationService) {
    this.#context = context;
    this.#service = service;
  }

  /** Asks for what these jobs need. False: nothing. */
  begin(jobs: readonly HandedJob[], { workspace, plans }: PipelineContext): boolean {
    this.forget();
    const bySource = new Map<SourceConfig, HandedJob[]>();
    for (const handed of jobs) {
      const parameters = readParameters(handed.job.parameters);
      const source = workspace.sourceById(parameters?.source_id ?? '');
      // A copy that customers' code has made was hydrated before.
      if (source === undefined || parameters?.retry?.copy !== undefined || !plans.of(source).isHydrated) continue;
      const own = bySource.get(source);
      if (own === undefined) bySource.set(source, [handed]);
      else own.push(handed);
    }
    for (const [source, own] of bySource) {
      for (let at = 0; at < own.length; at += chunkMax) {
        this.#send({ slice: this.#slice, source, jobs: own.slice(at, at + chunkMax), attempt: 0 });
      }
    }
    return this.#unanswered > 0;
  }

  /** True when the slice has all of its answers by it. */
  take({ ask, answer }: Hydrated): boolean {
    if (ask.slice !== this.#slice) return false;
    this.#unanswered -= 1;
    const events = answer.kind === 'answered' ? readAnswer(answer.body, ask) : undefined;
    if (events !== undefined) for (const [handed, event] of events) this.events.set(handed, event);
    else if (answer.kind === 'away') this.#sendLater(ask, answer.reason);
    else if (answer.kind !== 'refused' && ask.jobs.length > 1) {
      for (const handed of ask.jobs) this.#send({ ...ask, jobs: [handed], attempt: 0 });
    } else for (const handed of ask.jobs) this.events.set(handed, failure(reasonOf(answer)));
    return this.#unanswered === 0;
  }

  /** Sends what waited, unless its slice is gone. */
  due(ask: HydrationAsk): void {
    if (ask.slice !== this.#slice) return;
    this.#unanswered -= 1;
    this.#send(ask);
  }

  /** Answers that still come are for nobody. */
  forget(): void {
    this.#slice += 1;
    this.#unanswered = 0;
  }

  #send(ask: HydrationAsk): void {
    const { url, timeoutMs, http } = this.#service;
    if (url === '') {
      for (const handed of ask.jobs) this.events.set(handed, failure('there is no transformer (transformer.url)'));
      return;
    }
    this.#unanswered += 1;
    const { clock, random } = this.#context;
    const target = transformerUrl(url, `/v2/sources/${encodeURIComponent(typeOf(ask.source))}/hydrate`);
    const answer = askTransformer(
      { url: target, body: bodyOf(ask), poolKey: ask.source.id, timeoutMs },
      { http: http(), clock, random: () => random.next() },
    );
    this.#context.pipeToSelf(answer, (outcome): Hydrated => {
      const none: TransformerAnswer = { kind: 'away', reason: outcome.ok ? '' : outcome.error.message };
      return { kind: 'hydrated', ask, answer: outcome.ok ? outcome.value : none };
    });
  }

  #sendLater(ask: HydrationAsk, reason: string): void {
    this.#context.log.warn({ sourceId: ask.source.id, reason }, 'events wait to be hydrated');
    this.#unanswered += 1;
    this.#timers += 1;
    const delayMs = Math.min(retryMsMax, retryMsMin * 2 ** Math.min(10, ask.attempt));
    const again = { ...ask, attempt: ask.attempt + 1 };
    this.#context.schedule(`hydrate-${this.#timers}`, delayMs, { kind: 'hydrationDue', ask: again });
  }
}

function typeOf({ sourceDefinition }: SourceConfig): string {
  return sourceDefinition.name.toLowerCase();
}

function bodyOf({ source, jobs }: HydrationAsk): Buffer {
  const { id, config, workspaceId, sourceDefinition, hydration } = source;
  const about = { id, config, workspaceId, sourceDefinition, internalSecret: hydration?.internalSecret ?? null };
  const pieces: Uint8Array[] = [Buffer.from('{"batch":[')];
  for (const [index, { job }] of jobs.entries()) {
    pieces.push(Buffer.from(`${index === 0 ? '' : ','}{"id":${job.jobId},"event":`), job.payload, Buffer.from('}'));
  }
  pieces.push(Buffer.from(`],"source":${JSON.stringify(about)}}`));
  return Buffer.concat(pieces);
}

/** Undefined when it is no answer to what was asked. */
function readAnswer(body: Buffer, { jobs }: HydrationAsk): Map<HandedJob, Buffer | Ending> | undefined {
  const batch = batchOf(body);
  if (batch?.length !== jobs.length) return undefined;
  const byId = new Map(batch.map((item) => [String(isObject(item) ? item.id : undefined), item]));
  const events = new Map<HandedJob, Buffer | Ending>();
  for (const handed of jobs) {
    const item = byId.get(String(handed.job.jobId));
    if (!isObject(item)) return undefined;
    const { event, statusCode = 200 } = item;
    const isGood = statusCode === 200 && isObject(event);
    const reason = `the transformer answered ${String(statusCode).slice(0, 20)}`;
    events.set(handed, isGood ? Buffer.from(JSON.stringify(event)) : failure(reason));
  }
  return events;
}

function batchOf(body: Buffer): unknown[] | undefined {
  try {
    const answer: unknown = JSON.parse(bufferOver(body).toString('utf8'));
    return isObject(answer) && Array.isArray(answer.batch) ? answer.batch : undefined;
  } catch {
    return undefined;
  }
}

function reasonOf(answer: TransformerAnswer): string {
  if (answer.kind === 'refused') return `the transformer answered ${answer.status}: ${answer.text}`.slice(0, 500);
  return answer.kind === 'answered' ? 'its answer has another form' : answer.reason;
}

function failure(reason: string): Ending {
  return { kind: 'aborted', code: failedCode, reason: `not hydrated: ${reason}`, stage: 'source_hydration' };
}
