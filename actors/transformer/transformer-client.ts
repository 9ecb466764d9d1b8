// The remote transformer for one thread: asks it to make requests of jobs, to put transformed ones together, or to
// deliver them, and turns whatever comes back into an outcome for each job. It never rejects: a transformer that is away
// or answers nonsense is an outcome like any other, and it never costs a job (noTransformationCode).
//
// A chunk that fails as a whole says nothing about any one of its jobs. They are marked to be asked about alone next
// time, so that one bad event is found by itself and only then counts as failed.

import type { Clock } from '../../runtime/index.ts';
import { HttpClient } from '../../transport/index.ts';
import { ServiceClient } from '../services/service-client.ts';
import {
  readFeatures,
  type TransformerFeatures,
  transformerUrl,
  usualFeatures,
} from '../services/transformer-features.ts';
import type { DestinationConfig, SourceConfig } from '../services/workspace.ts';
import { noTransformationCode, type OutputRequest, type TransformedGroup, type TransformerJob } from './contract.ts';
import {
  AnswerBreach,
  type ProxyOutcome,
  readOldProxyAnswer,
  readProcessorAnswer,
  readProxyAnswer,
  readRouterAnswer,
} from './transformer-answers.ts';
import { connectionText, destinationText, processorMetadataText, routerMetadata } from './transformer-form.ts';
import { askTransformer, type TransformerAnswer } from './transformer-http.ts';

export interface TransformerClientOptions {
  url: string;
  /** Of its proxy; '': the same. */
  deliveryUrl: string;
  /** Features are looked at again after this long. */
  pollMs: number;
  timeoutMs: number;
  clock: Clock;
  /** Uniform in [0, 1). */
  random(): number;
  /** Longest answer that is read. */
  answerBytesMax?: number;
}

/** Jobs of one destination. */
export interface TransformerChunk {
  jobs: readonly TransformerJob[];
  destination: DestinationConfig;
  sourceById(sourceId: string): SourceConfig | undefined;
  /** It is the only job, because it asked for that. */
  isAlone: boolean;
}

const answerBytesDefault = 64 * 1024 * 1024;
const connectionsMax = 8;
const compacted = ['X-Content-Format', 'json+compactedv1'];

export class TransformerClient {
  readonly #options: TransformerClientOptions;
  readonly #http: HttpClient;
  readonly #service: ServiceClient;
  #features: TransformerFeatures | undefined;
  #asking: Promise<void> | undefined;
  #askedAtMs = 0;

  constructor(options: TransformerClientOptions) {
    this.#options = options;
    const { answerBytesMax = answerBytesDefault } = options;
    this.#http = new HttpClient({ connectionsMax, responseBytesMax: answerBytesMax, drainBytesMax: answerBytesMax });
    this.#service = new ServiceClient({ name: 'the transformer', answerBytesMax });
  }

  /** Makes the requests of jobs whose payload is the event: `/routerTransform` where it has the type, else `/v0/…`. */
  async transform(chunk: TransformerChunk): Promise<TransformedGroup[]> {
    const features = await this.#currentFeatures();
    if (features === undefined) return away(chunk, 'the transformer does not tell its features');
    const { name, config } = chunk.destination.destinationDefinition;
    const isAtRouter = config.transformAtV1 === 'router' && features.routerTransform.has(name.toUpperCase());
    return isAtRouter ? this.#routerTransform(chunk, features) : this.#processorTransform(chunk, features);
  }

  /** Puts requests that were made before together. `outputs`: one for each job. */
  async batch(chunk: TransformerChunk, outputs: readonly OutputRequest[]): Promise<TransformedGroup[]> {
    const features = await this.#currentFeatures();
    if (features === undefined) return away(chunk, 'the transformer does not tell its features');
    const messages = outputs.map(({ output }) => Buffer.from(JSON.stringify(output)));
    const body = this.#routerBody(chunk, messages, features, 'processor');
    const answer = await this.#ask(this.#options.url, '/batch', chunk, body, formatOf(features));
    return this.#routerGroups(chunk, answer, 'list');
  }

  /** Has the transformer send a request to the destination. One outcome for each job. */
  async proxy(chunk: TransformerChunk, request: OutputRequest, timeoutMs: number): Promise<ProxyOutcome[]> {
    const { jobs, destination } = chunk;
    const features = await this.#currentFeatures();
    if (features === undefined) return notProxied(chunk, 'the transformer does not tell its features');
    const version = features.proxyVersion;
    const told = { nowMs: this.#options.clock.nowMs(), dontBatch: chunk.isAlone, transformAt: 'processor' as const };
    const about = jobs.map((job) =>
      routerMetadata(job, chunk.sourceById(job.parameters?.source_id ?? ''), destination, told),
    );
    const body = Buffer.from(
      JSON.stringify({
        ...request.output,
        metadata: version === 'v1' ? about : about[0],
        destinationConfig: destination.config,
      }),
    );
    const path = `/${version}/destinations/${typePath(destination)}/proxy`;
    const { deliveryUrl, url } = this.#options;
    const base = deliveryUrl === '' ? url : deliveryUrl;
    const headers = ['RdProxy-Timeout', String(timeoutMs)];
    const answer = await this.#ask(base, path, chunk, body, headers, { extraMs: timeoutMs, isDelivery: true });
    if (answer.kind === 'away') return notProxied(chunk, answer.reason);
    try {
      if (version === 'v1') return proxyOutcomes(chunk, answer);
      return oldProxyOutcomes(chunk, answer);
    } catch (error) {
      if (!(error instanceof AnswerBreach)) throw error;
      return jobs.map(() => ({ code: 500, text: breachText(error), mustBeAlone: false }));
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#http.close(), this.#service.close()]);
  }

  async #processorTransform(chunk: TransformerChunk, features: TransformerFeatures): Promise<TransformedGroup[]> {
    const path = `/v0/destinations/${typePath(chunk.destination)}`;
    const body = processorBody(chunk, features.compacted);
    const answer = await this.#ask(this.#options.url, path, chunk, body, formatOf(features));
    if (answer.kind === 'refused') return refused(chunk, answer);
    if (answer.kind !== 'answered') return unsuccessful(chunk, answer);
    return whole(chunk, () => readProcessorAnswer(answer.body, chunk.jobs));
  }

  async #routerTransform(chunk: TransformerChunk, features: TransformerFeatures): Promise<TransformedGroup[]> {
    const messages = chunk.jobs.map(({ job }) => job.payload);
    const body = this.#routerBody(chunk, messages, features, 'router');
    const answer = await this.#ask(this.#options.url, '/routerTransform', chunk, body, formatOf(features));
    return this.#routerGroups(chunk, answer, 'object');
  }

  #routerGroups(chunk: TransformerChunk, answer: TransformerAnswer, form: 'object' | 'list'): TransformedGroup[] {
    if (answer.kind === 'answered') return whole(chunk, () => readRouterAnswer(answer.body, chunk.jobs, form));
    if (answer.kind !== 'refused') return unsuccessful(chunk, answer);
    if (answer.status === 404) return all(chunk, 404, answer.text);
    return unsuccessful(chunk, { ...answer, kind: 'failed', reason: `the transformer answered ${answer.status}` });
  }

  #routerBody(
    chunk: TransformerChunk,
    messages: readonly Uint8Array[],
    features: TransformerFeatures,
    transformAt: 'router' | 'processor',
  ): Buffer {
    const { jobs, destination } = chunk;
    const told = { nowMs: this.#options.clock.nowMs(), dontBatch: chunk.isAlone, transformAt };
    const pieces: Uint8Array[] = [text('{"input":[')];
    for (const [index, job] of jobs.entries()) {
      const sourceId = job.parameters?.source_id ?? '';
      const about = routerMetadata(job, chunk.sourceById(sourceId), destination, told);
      pieces.push(text(`${index === 0 ? '' : ','}{"message":`), messages[index] ?? text('{}'));
      pieces.push(text(`,"metadata":${JSON.stringify(about)}`));
      if (!features.compacted) pieces.push(text(configText(sourceId, destination)));
      pieces.push(text('}'));
    }
    pieces.push(text(`],"destType":${JSON.stringify(typePath(destination))}`));
    if (features.compacted) pieces.push(text(compactedText(chunk)));
    pieces.push(text('}'));
    return Buffer.concat(pieces);
  }

  #ask(
    base: string,
    path: string,
    { destination }: TransformerChunk,
    body: Uint8Array,
    headers: readonly string[],
    { extraMs = 0, isDelivery = false } = {},
  ): Promise<TransformerAnswer> {
    const { clock, random } = this.#options;
    const timeoutMs = this.#options.timeoutMs + extraMs;
    return askTransformer(
      { url: transformerUrl(base, path), headers, body, poolKey: destination.id, timeoutMs, isDelivery },
      { http: this.#http, clock, random },
    );
  }

  /** Asked for with the first chunk, and again now and then; meanwhile those it last told of count. */
  async #currentFeatures(): Promise<TransformerFeatures | undefined> {
    const { clock, pollMs } = this.#options;
    if (this.#features === undefined || clock.monotonicMs() - this.#askedAtMs > pollMs) {
      this.#asking ??= this.#askFeatures();
      if (this.#features === undefined) await this.#asking;
    }
    return this.#features;
  }

  async #askFeatures(): Promise<void> {
    const { url, timeoutMs, clock } = this.#options;
    try {
      const { status, body } = await this.#service.call({ url: transformerUrl(url, '/features'), timeoutMs });
      if (status === 200) this.#features = readFeatures(body);
      else if (status === 404) this.#features = usualFeatures;
    } catch {
      // Whoever needs them is told that it is away; the poll of the main thread tells the operator why.
    } finally {
      this.#askedAtMs = clock.monotonicMs();
      this.#asking = undefined;
    }
  }
}

function processorBody(chunk: TransformerChunk, isCompacted: boolean): Buffer {
  const { jobs, destination } = chunk;
  const pieces: Uint8Array[] = [text(isCompacted ? '{"input":[' : '[')];
  for (const [index, job] of jobs.entries()) {
    const sourceId = job.parameters?.source_id ?? '';
    const metadata = processorMetadataText(job, chunk.sourceById(sourceId), destination);
    pieces.push(text(`${index === 0 ? '' : ','}{"message":`), job.job.payload, text(`,"metadata":${metadata}`));
    if (!isCompacted) pieces.push(text(configText(sourceId, destination)));
    pieces.push(text('}'));
  }
  pieces.push(text(isCompacted ? `]${compactedText(chunk)}}` : ']'));
  return Buffer.concat(pieces);
}

function configText(sourceId: string, destination: DestinationConfig): string {
  return `,"destination":${destinationText(destination)},"connection":${connectionText(sourceId, destination)}`;
}

function compactedText({ jobs, destination }: TransformerChunk): string {
  const sourceIds = new Set(jobs.map(({ parameters }) => parameters?.source_id ?? ''));
  const connections = [...sourceIds].map(
    (sourceId) => `${JSON.stringify(`${sourceId}:${destination.id}`)}:${connectionText(sourceId, destination)}`,
  );
  const destinations = `${JSON.stringify(destination.id)}:${destinationText(destination)}`;
  return `,"destinations":{${destinations}},"connections":{${connections.join(',')}}`;
}

function formatOf(features: TransformerFeatures): readonly string[] {
  return features.compacted ? compacted : [];
}

function typePath({ destinationDefinition }: DestinationConfig): string {
  return encodeURIComponent(destinationDefinition.name.toLowerCase());
}

function all({ jobs }: TransformerChunk, code: number, reason: string, mustBeAlone = false): TransformedGroup[] {
  return jobs.map((_job, index) => ({ indexes: [index], requests: [], code, reason, mustBeAlone }));
}

function away(chunk: TransformerChunk, reason: string): TransformedGroup[] {
  return all(chunk, noTransformationCode, reason, chunk.isAlone);
}

/** One job by itself is to blame for what it meets; one among others is not, before it was asked about alone. */
function unsuccessful(
  chunk: TransformerChunk,
  answer: Extract<TransformerAnswer, { kind: 'failed' | 'away' }>,
): TransformedGroup[] {
  if (answer.kind === 'away') return away(chunk, answer.reason);
  if (chunk.jobs.length > 1) return all(chunk, noTransformationCode, answer.reason, true);
  return all(chunk, 500, answer.reason, true);
}

function refused(
  chunk: TransformerChunk,
  { status, text: told }: Extract<TransformerAnswer, { kind: 'refused' }>,
): TransformedGroup[] {
  const reason = `the transformer answered ${status}: ${told}`;
  // Too much at once is no fault of any one of them.
  if (status === 413 && chunk.jobs.length > 1) return all(chunk, noTransformationCode, reason, true);
  // A status that is neither success nor refusal would make the job count as delivered.
  return all(chunk, status >= 400 ? status : 500, reason);
}

function whole(chunk: TransformerChunk, read: () => TransformedGroup[]): TransformedGroup[] {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof AnswerBreach)) throw error;
    return unsuccessful(chunk, { kind: 'failed', status: 200, reason: breachText(error) });
  }
}

function breachText(error: AnswerBreach): string {
  return `the transformer's answer cannot be used: ${error.message}`;
}

function notProxied({ jobs }: TransformerChunk, reason: string): ProxyOutcome[] {
  return jobs.map(() => ({ code: noTransformationCode, text: reason, mustBeAlone: false }));
}

type SettledAnswer = Exclude<TransformerAnswer, { kind: 'away' }>;

function proxyOutcomes({ jobs }: TransformerChunk, answer: SettledAnswer): ProxyOutcome[] {
  if (answer.kind === 'answered') return readProxyAnswer(answer.body, jobs);
  const text = answer.kind === 'refused' ? answer.text : answer.reason;
  return jobs.map(() => ({ code: proxyCode(answer), text, mustBeAlone: false }));
}

function oldProxyOutcomes({ jobs }: TransformerChunk, answer: SettledAnswer): ProxyOutcome[] {
  const text =
    answer.kind === 'answered'
      ? readOldProxyAnswer(answer.body)
      : answer.kind === 'refused'
        ? answer.text
        : answer.reason;
  return jobs.map(() => ({ code: proxyCode(answer), text, mustBeAlone: false }));
}

/** Its 404 is its own (it has no proxy for the type), and is mended by a newer one. */
function proxyCode(answer: SettledAnswer): number {
  if (answer.kind === 'answered') return 200;
  return answer.status === 404 || answer.status < 300 ? 500 : answer.status;
}

function text(content: string): Buffer {
  return Buffer.from(content);
}
