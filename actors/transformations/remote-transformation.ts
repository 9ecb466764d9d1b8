// A transformation whose code a remote service runs (`/customTransform`, spec/transformer-and-clients.md 1.3 and 2):
// one in a language that cannot be run here, or all of them where the operator wants it so. It answers like the one that
// runs code itself, so whoever asks cannot tell the two apart.
//
// A chunk: asked about → answered, with every event's outcome. While the service is away chunks are answered empty, to
// be asked again after a growing pause. A chunk that fails as a whole is asked about event by event, so that one bad
// event fails alone.

import type { ActorContext, Replier } from '../../runtime/index.ts';
import { HttpClient } from '../../transport/index.ts';
import { transformerUrl } from '../services/transformer-features.ts';
import { askTransformer, type TransformerAnswer } from '../transformer/transformer-http.ts';
import {
  failed,
  type TransformChunk,
  type TransformItem,
  type TransformOutcome,
  type TransformReply,
} from './contract.ts';
import { readCustomAnswer } from './custom-answer.ts';

/** An answer, or all of them when a chunk was asked about one by one. */
export interface RemoteAnswered {
  kind: 'remoteAnswered';
  replier: Replier;
  outcomes: (TransformOutcome | null)[];
}

export interface RemoteTransformationParts {
  /** One for all of a thread, made with the first ask. */
  http(): HttpClient;
  timeoutMs: number;
  count(outcome: 'done' | 'filtered' | 'failed', count: number): void;
}

const answerBytesMax = 64 * 1024 * 1024;
const connectionsMax = 8;
/** Less than whoever asks waits for an answer. */
const timeoutMsMax = 60_000;
const retryMsMin = 500;
const retryMsMax = 30_000;
const unansweredCode = 500;

export function remoteHttpClient(): HttpClient {
  return new HttpClient({ connectionsMax, responseBytesMax: answerBytesMax, drainBytesMax: answerBytesMax });
}

export class RemoteTransformation<Message> {
  readonly #context: ActorContext<Message | RemoteAnswered>;
  readonly #parts: RemoteTransformationParts;
  #failures = 0;

  constructor(context: ActorContext<Message | RemoteAnswered>, parts: RemoteTransformationParts) {
    this.#context = context;
    this.#parts = parts;
  }

  take(chunk: TransformChunk): void {
    const replier = this.#context.replier();
    this.#context.pipeToSelf(this.#transform(chunk), (outcome) => ({
      kind: 'remoteAnswered',
      replier,
      outcomes: outcome.ok ? outcome.value : chunk.items.map(() => null),
    }));
  }

  answered({ replier, outcomes }: RemoteAnswered): void {
    const isWhole = outcomes.every((outcome) => outcome !== null);
    const retryMs = isWhole ? 0 : Math.min(retryMsMax, retryMsMin * 2 ** Math.min(20, this.#failures));
    this.#failures = isWhole ? 0 : this.#failures + 1;
    for (const outcome of outcomes) {
      if (outcome === null) continue;
      const verdict = outcome.failure !== undefined ? 'failed' : outcome.outputs.length === 0 ? 'filtered' : 'done';
      this.#parts.count(verdict, 1);
    }
    const reply: TransformReply = { outcomes, retryMs, isSuspect: false };
    replier.reply(reply);
  }

  async #transform({ program, items }: TransformChunk): Promise<(TransformOutcome | null)[]> {
    const answer = await this.#ask(program, items);
    const whole = this.#outcomesOf(answer, items);
    if (whole !== undefined) return whole;
    if (items.length === 1) return [failed(reasonOf(answer), unansweredCode)];
    const outcomes: (TransformOutcome | null)[] = [];
    // One after the other: nobody knows how well the service is.
    for (const item of items) {
      const own = await this.#ask(program, [item]);
      const [outcome] = this.#outcomesOf(own, [item]) ?? [failed(reasonOf(own), unansweredCode)];
      outcomes.push(outcome ?? null);
      if (outcome !== null) continue;
      while (outcomes.length < items.length) outcomes.push(null);
    }
    return outcomes.slice(0, items.length);
  }

  /** Undefined: it says nothing about any one of them. */
  #outcomesOf(answer: TransformerAnswer, items: readonly TransformItem[]): (TransformOutcome | null)[] | undefined {
    switch (answer.kind) {
      case 'away':
        this.#context.log.warn(
          { transformation: this.#context.key, reason: answer.reason },
          'a remote transformation cannot be asked now; its events wait',
        );
        return items.map(() => null);
      case 'refused':
        if (answer.status === 413 && items.length > 1) return undefined;
        return items.map(() => failed(`the transformer answered ${answer.status}: ${answer.text}`, answer.status));
      case 'answered':
        return readCustomAnswer(answer.body, items);
      case 'failed':
        return undefined;
    }
  }

  #ask(program: TransformChunk['program'], items: readonly TransformItem[]): Promise<TransformerAnswer> {
    const { http, timeoutMs } = this.#parts;
    const { clock, random, key } = this.#context;
    return askTransformer(
      {
        url: transformerUrl(program.remoteUrl, '/customTransform'),
        body: customBody(program, items),
        poolKey: key,
        timeoutMs: Math.min(timeoutMs, timeoutMsMax),
      },
      { http: http(), clock, random: () => random.next() },
    );
  }
}

function reasonOf(answer: TransformerAnswer): string {
  return answer.kind === 'failed' ? answer.reason : 'the transformer gave an answer that cannot be used';
}

/** Events and metadata go as the texts they are. */
function customBody(program: TransformChunk['program'], items: readonly TransformItem[]): Buffer {
  const about = JSON.stringify({
    destination: { Transformations: [{ VersionID: program.versionId }] },
    libraries: program.libraries.map(({ versionId }) => ({ VersionID: versionId })),
    credentials: Object.entries(program.credentials).map(([key, value]) => ({ id: key, key, value, isSecret: true })),
  });
  const texts = items.map(({ event, metadata }) => `{"message":${event},"metadata":${metadata},${about.slice(1)}`);
  return Buffer.from(`[${texts.join(',')}]`);
}
