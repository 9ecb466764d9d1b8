// The stage before the pipeline: has the events of a slice transformed by customers' code, for those destinations that
// want it, and knows when all of them are. The slice then goes through the pipeline as one, so commits stay in order.
//
// Per slice: gathered → asked, by transformation in chunks → answered, with every event's outcome. What is not answered
// is asked again: events that were told to wait, those of a transformation that became a suspect, and all of a chunk
// whose thread was lost. The last go one by one among the suspects, so that code that takes its thread down fails alone;
// it is then left in peace for a growing time.

import type { ActorContext } from '../../runtime/index.ts';
import {
  failed,
  suspectKind,
  type TransformChunk,
  type TransformPing,
  type TransformReply,
  transformationKind,
} from '../transformations/contract.ts';
import type { ProcessorMessage, TransformAnswered, TransformAsk, TransformEntry } from './contract.ts';
import { gateEvent } from './destination-filter.ts';
import type { Prepared } from './pipeline.ts';
import type { RouteTransformation } from './route-transformation.ts';
import { EventInHand } from './stage.ts';
import type { TransformAnswers } from './transformed-copies.ts';

const chunkItemsMax = 200;
const chunkCharactersMax = 1024 * 1024;
const askTimeoutMs = 90_000;
const retryMsMin = 50;
const retryMsMax = 5_000;
/** An ask that is refused at once has not met its thread's end; code that does not come back takes longer. */
const lossMsMin = 1_000;
const lossesMax = 3;
/** Suspects are asked again at moments of their own, so that the innocent are done before the guilty one begins. */
const suspectMsMax = 5_000;
/** How long a transformation that took its thread down is left in peace; doubles each time. */
const banMsMin = 60_000;
const banMsMax = 3_600_000;
/** How long a transformation stays among the suspects; then it is asked about beside the others again. */
const suspicionMs = 600_000;

export class UserTransforms {
  readonly answers: TransformAnswers = new WeakMap();
  readonly #context: ActorContext<ProcessorMessage>;
  readonly #whilePaused: 'wait' | 'fail';
  #slice = 0;
  #unanswered = 0;
  /** For their names: each waits by itself. */
  #timers = 0;
  /** By transformation, for as long as this actor lives. */
  readonly #bans = new Map<string, { untilMs: number; ms: number }>();
  /** By transformation: until when it is asked among the suspects. */
  readonly #suspects = new Map<string, number>();

  constructor(context: ActorContext<ProcessorMessage>, whilePaused: 'wait' | 'fail') {
    this.#context = context;
    this.#whilePaused = whilePaused;
  }

  /** Asks for what this slice needs. False: nothing. */
  begin(slice: readonly Prepared[]): boolean {
    this.forget();
    for (const ask of this.#gather(slice)) this.#send(ask);
    return this.#unanswered > 0;
  }

  /** True when the slice has all of its answers by it. */
  take({ ask, askedAtMs, outcome }: TransformAnswered): boolean {
    if (ask.slice !== this.#slice) return false;
    this.#unanswered -= 1;
    if (outcome.ok) this.#takeReply(ask, outcome.value);
    else this.#askAgain(ask, askedAtMs, outcome.error);
    return this.#unanswered === 0;
  }

  /** Answers that still come are for nobody. */
  forget(): void {
    this.#slice += 1;
    this.#unanswered = 0;
  }

  #takeReply(ask: TransformAsk, { outcomes, retryMs, isSuspect }: TransformReply): void {
    if (isSuspect) this.#suspects.set(ask.transformation.key, this.#context.clock.monotonicMs() + suspicionMs);
    const left: TransformEntry[] = [];
    for (const [index, entry] of ask.entries.entries()) {
      const outcome = outcomes[index];
      if (outcome === null || outcome === undefined) left.push(entry);
      else this.#answer(entry, outcome);
    }
    if (left.length === 0) return;
    const again = { ...ask, entries: left, attempt: 0 };
    if (isSuspect) this.#send(again);
    else this.#sendLater(again, Math.max(retryMs, 1));
  }

  #askAgain(ask: TransformAsk, askedAtMs: number, error: Error): void {
    const { clock, log } = this.#context;
    const wasThere = clock.monotonicMs() - askedAtMs >= lossMsMin;
    const isAlone = ask.entries.length === 1;
    const losses = ask.losses + (wasThere && isAlone && ask.attempt > 0 ? 1 : 0);
    log.warn({ transformation: ask.transformation.key, reason: error.message }, 'a transformation gave no answer');
    if (losses >= lossesMax) {
      this.#ban(ask.transformation.key);
      for (const entry of ask.entries) this.#answer(entry, failed('the transformation did not come back'));
      return;
    }
    const delayMs = Math.min(retryMsMax, retryMsMin * 2 ** Math.min(10, ask.attempt));
    const attempt = ask.attempt + 1;
    if (!wasThere) this.#sendLater({ ...ask, attempt }, delayMs);
    else {
      for (const entry of ask.entries) {
        const suspectMs = delayMs + this.#context.random.integer(suspectMsMax);
        this.#sendLater({ ...ask, entries: [entry], attempt, losses, isSuspect: true }, suspectMs);
      }
    }
  }

  #answer({ handed, destinationId }: TransformEntry, outcome: ReturnType<typeof failed>): void {
    let answers = this.answers.get(handed);
    if (answers === undefined) {
      answers = new Map();
      this.answers.set(handed, answers);
    }
    answers.set(destinationId, outcome);
  }

  #send(ask: TransformAsk): void {
    const bannedMs = (this.#bans.get(ask.transformation.key)?.untilMs ?? 0) - this.#context.clock.monotonicMs();
    if (bannedMs > 0) {
      if (this.#whilePaused === 'wait') this.#sendLater(ask, bannedMs);
      else
        for (const entry of ask.entries)
          this.#answer(entry, failed('the transformation is paused: it took its thread down'));
      return;
    }
    this.#unanswered += 1;
    const { key, program } = ask.transformation;
    const chunk: TransformChunk = { kind: 'transformChunk', program, items: ask.entries.map(({ item }) => item) };
    const { clock } = this.#context;
    const kind = ask.isSuspect || this.#isSuspect(key) ? suspectKind : transformationKind;
    const actor = this.#context.ref<TransformChunk | TransformPing>(kind, key);
    let askedAtMs = Number.POSITIVE_INFINITY;
    const askNow = (): Promise<TransformReply> => {
      askedAtMs = clock.monotonicMs();
      return actor.ask<TransformReply>(chunk, { timeoutMs: askTimeoutMs });
    };
    const reply =
      ask.attempt === 0 ? askNow() : actor.ask({ kind: 'transformPing' }, { timeoutMs: askTimeoutMs }).then(askNow);
    this.#context.pipeToSelf(reply, (outcome) => ({ kind: 'transformAnswered', ask, askedAtMs, outcome }));
  }

  #isSuspect(key: string): boolean {
    const untilMs = this.#suspects.get(key);
    if (untilMs === undefined) return false;
    if (untilMs > this.#context.clock.monotonicMs()) return true;
    this.#suspects.delete(key);
    return false;
  }

  #ban(key: string): void {
    const ms = Math.min(banMsMax, (this.#bans.get(key)?.ms ?? banMsMin / 2) * 2);
    this.#bans.set(key, { ms, untilMs: this.#context.clock.monotonicMs() + ms });
  }

  #sendLater(ask: TransformAsk, delayMs: number): void {
    this.#unanswered += 1;
    this.#timers += 1;
    this.#context.schedule(`transform-${this.#timers}`, delayMs, { kind: 'transformDue', ask });
  }

  /** Sends what waited, unless its slice is gone. True when the slice has all of its answers by it. */
  due(ask: TransformAsk): boolean {
    if (ask.slice !== this.#slice) return false;
    this.#unanswered -= 1;
    this.#send(ask);
    return this.#unanswered === 0;
  }

  #gather(slice: readonly Prepared[]): TransformAsk[] {
    const asks: TransformAsk[] = [];
    const open = new Map<string, { ask: TransformAsk; characters: number }>();
    const add = (transformation: RouteTransformation, entry: TransformEntry): void => {
      const size = entry.item.event.length;
      let group = open.get(transformation.key);
      const isFull =
        group !== undefined &&
        (group.ask.entries.length >= chunkItemsMax || group.characters + size > chunkCharactersMax);
      if (group === undefined || isFull) {
        const ask = { slice: this.#slice, transformation, entries: [], attempt: 0, losses: 0, isSuspect: false };
        group = { ask, characters: 0 };
        asks.push(group.ask);
        open.set(transformation.key, group);
      }
      group.ask.entries.push(entry);
      group.characters += size;
    };
    for (const one of slice) if (one instanceof EventInHand && one.plan.isTransforming) gatherEvent(one, add);
    return asks;
  }
}

function gatherEvent(
  inHand: EventInHand,
  add: (transformation: RouteTransformation, entry: TransformEntry) => void,
): void {
  const { handed, event, plan } = inHand;
  const { job } = handed;
  const { source_job_run_id, source_task_run_id, destination_id: only } = inHand.parameters;
  let text: string | undefined;
  for (const { destinationId, transformation, filter } of plan.routes) {
    if (transformation === undefined || transformation.refusal !== undefined) continue;
    if (only !== undefined && only !== destinationId) continue;
    if (gateEvent(filter, event) !== undefined) continue;
    text ??= inHand.text();
    const own = {
      jobId: job.jobId,
      messageId: job.messageId,
      rudderId: job.userId,
      receivedAt: event.receivedAt,
      eventName: typeof event.event === 'string' ? event.event : undefined,
      eventType: typeof event.type === 'string' ? event.type : undefined,
      sourceJobRunId: source_job_run_id,
      sourceTaskRunId: source_task_run_id,
    };
    const metadata = `${transformation.metadataPrefix},${JSON.stringify(own).slice(1)}`;
    add(transformation, { handed, destinationId, item: { event: text, metadata } });
  }
}
