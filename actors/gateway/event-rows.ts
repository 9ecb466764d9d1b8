// From the events of one request to job rows: first all of them are checked, each by itself, then the good ones are
// filled in and appended. Nothing is kept between requests but scratch memory.

import type { Shards } from '../../runtime/index.ts';
import { type Job, userIdDelimiter } from '../job.ts';
import type { JobRowWriter } from '../storage/job-row.ts';
import { type Answer, answers, type EventVerdict } from './answers.ts';
import { EventScanner, type Field, field, type ScanLimits, type ScanVerdict } from './event-scanner.ts';
import { cleanText, idText, keyText, rawText, rudderIdOf, stringText } from './event-text.ts';
import { byteAt, openBrace } from './json-grammar.ts';
import { type FillIns, splice } from './splice.ts';

/** What the events of a request have in common. */
export interface RequestFacts {
  /** Of the source's partition. */
  shards: Shards;
  receivedAtMs: number;
  /** JSON text of GatewayParameters. */
  parameters: string;
  /** JSON text. */
  requestIpJson: string;
  /** AnonymousId header, sanitised; first part of the composite user id. */
  anonymousIdHeader: string;
  /** `type` every event gets; undefined in a batch. */
  type: string | undefined;
  /** Filled with the first rows as JSON texts, up to `sampleMax` of them, when somebody watches the source. */
  sampled: string[] | undefined;
  sampleMax: number;
  /** Filled with the message id of each row, when somebody wants to know. */
  messageIds: string[] | undefined;
  /** Replayed events were received when they say, not now. */
  keepsReceivedAt: boolean;
}

/** Job-run ids a batch names in `context.sources` of its first event; '' = not named. */
export interface JobRun {
  jobRunId: string;
  taskRunId: string;
}

const verdictAnswers: Readonly<Record<ScanVerdict, Answer | undefined>> = {
  events: undefined,
  invalidJson: answers.invalidJson,
  notAnEvent: answers.notAnEvent,
  emptyBatch: answers.emptyBatch,
  tooManyEvents: answers.tooLarge,
};

/** Event types that need no identity: extracted rows and records of reverse ETL. */
const typesWithoutIdentity = new Set(['extract', 'record']);

export interface EventRowsOptions {
  allowEventsWithoutIdentity: boolean;
  limits?: ScanLimits & { eventBytesMax: number };
  newMessageId(): string;
}

/** One per thread: `read` overwrites what the last one found. */
export class EventRows {
  readonly #options: EventRowsOptions;
  readonly #scanner: EventScanner;
  readonly #eventBytesMax: number;
  #body: Buffer = Buffer.alloc(0);
  /** By event; undefined: it is good. */
  readonly #refusals: (Answer | undefined)[] = [];
  #goodCount = 0;
  #firstRefusal: Answer | undefined;
  #suppressedCount = 0;
  readonly #userIds: string[] = [];
  readonly #anonymousIds: string[] = [];
  /** Many requests share a millisecond. */
  #isoMs = -1;
  #iso = '';
  #lastUserId = '';
  #lastAnonymousId = '';
  #lastRudderId = '';

  constructor(options: EventRowsOptions) {
    this.#options = options;
    this.#scanner = new EventScanner(options.limits);
    this.#eventBytesMax = options.limits?.eventBytesMax ?? Number.MAX_SAFE_INTEGER;
  }

  get count(): number {
    return this.#scanner.count;
  }

  /** Events that `write` will append. */
  get goodCount(): number {
    return this.#goodCount;
  }

  /** Events that are accepted, and neither stored nor refused. */
  get suppressedCount(): number {
    return this.#suppressedCount;
  }

  /** What is wrong with the first event that is not good; undefined when all are. */
  get firstRefusal(): Answer | undefined {
    return this.#firstRefusal;
  }

  /** The answer that refuses the request as a whole, whose events cannot be told apart; undefined when they can. */
  read(body: Buffer, type: string | undefined): Answer | undefined {
    this.#body = body;
    const answer = verdictAnswers[this.#scanner.scan(body, type === undefined ? 'batch' : 'single')];
    if (answer !== undefined) return answer;
    this.#goodCount = 0;
    this.#suppressedCount = 0;
    this.#firstRefusal = undefined;
    for (let event = 0; event < this.#scanner.count; event += 1) {
      const refusal = this.#check(event, type);
      this.#refusals[event] = refusal;
      if (refusal === undefined) this.#goodCount += 1;
      else this.#firstRefusal ??= refusal;
    }
    return undefined;
  }

  userIdOf(event: number): string | undefined {
    return this.#refusals[event] === undefined ? this.#userIds[event] : undefined;
  }

  suppress(event: number): void {
    this.#refusals[event] = answers.ok;
    this.#goodCount -= 1;
    this.#suppressedCount += 1;
  }

  /**
   * One verdict per event of the last `read`; good events get their message ids from `messageIds`, in order, and their
   * verdicts are added to `stored`. Who is suppressed is nobody's business: those events are `ok` as well.
   */
  verdicts(messageIds: readonly string[], stored: EventVerdict[] = []): EventVerdict[] {
    return Array.from({ length: this.#scanner.count }, (_, index): EventVerdict => {
      const refusal = this.#refusals[index];
      if (refusal === answers.ok) return { index, messageId: this.#messageIdOf(index), ok: true };
      if (refusal !== undefined) {
        return { index, messageId: this.#messageIdOf(index), ok: false, reason: refusal.body.trimEnd() };
      }
      const verdict = { index, messageId: messageIds[stored.length] ?? '', ok: true };
      stored.push(verdict);
      return verdict;
    });
  }

  jobRun(): JobRun {
    const end = this.#scanner.valueEnd(0, field.context);
    const context = this.#body.subarray(this.#scanner.valueStart(0, field.context), end);
    // Nearly no event has this; the search is native and the context is only decoded when it is worth it.
    if (end === 0 || context.indexOf('"sources"') < 0) return { jobRunId: '', taskRunId: '' };
    const { sources } = JSON.parse(context.toString()) as { sources?: unknown };
    return { jobRunId: memberText(sources, 'job_run_id'), taskRunId: memberText(sources, 'task_run_id') };
  }

  /** Appends one row per good event of the last `read`. */
  write(writer: JobRowWriter, facts: RequestFacts): void {
    const { shards, receivedAtMs, parameters } = facts;
    const job: Omit<Job, 'payload'> = {
      jobId: 0,
      parentId: 0,
      partition: shards.partition,
      userId: '',
      messageId: '',
      receivedAtMs,
      parameters,
    };
    const fill: FillIns = {
      type: undefined,
      rudderId: '',
      receivedAt: this.#isoOf(receivedAtMs),
      requestIpJson: facts.requestIpJson,
      messageId: undefined,
    };
    const isAllGood = this.#goodCount === this.#scanner.count;
    for (let event = 0; event < this.#scanner.count; event += 1) {
      if (!isAllGood && this.#refusals[event] !== undefined) continue;
      const [sentUserId, sentAnonymousId] = [this.#userIds[event] ?? '', this.#anonymousIds[event] ?? ''];
      fill.rudderId = this.#rudderId(sentUserId, sentAnonymousId);
      fill.type = this.#typeToSet(event, facts.type);
      const messageId = this.#setMessageId(event, fill, job);
      const [userId, anonymousId] = [keyText(sentUserId), keyText(sentAnonymousId)];
      if (shards.isSplit) job.partition = shards.keyOf(anonymousId === '' ? userId : anonymousId);
      job.userId = compositeUserId(facts.anonymousIdHeader, anonymousId, userId);
      facts.messageIds?.push(messageId);
      if (facts.keepsReceivedAt) job.receivedAtMs = this.#receivedAt(event) ?? receivedAtMs;
      const pieces = splice(this.#body, this.#scanner, event, fill);
      writer.append(job, pieces);
      if (facts.sampled !== undefined && facts.sampled.length < facts.sampleMax) facts.sampled.push(pieces.join(''));
    }
  }

  #check(event: number, type: string | undefined): Answer | undefined {
    const start = this.#scanner.start(event);
    if (byteAt(this.#body, start) !== openBrace) return answers.notAnEvent;
    if (this.#scanner.end(event) - start > this.#eventBytesMax) return answers.tooLarge;
    const userId = this.#id(event, field.userId);
    const anonymousId = this.#id(event, field.anonymousId);
    if (userId === '' && anonymousId === '' && this.#needsIdentity(event, type)) return answers.noIdentity;
    this.#userIds[event] = userId;
    this.#anonymousIds[event] = anonymousId;
    return undefined;
  }

  #messageIdOf(event: number): string {
    const end = this.#scanner.valueEnd(event, field.messageId);
    return stringText(this.#body, this.#scanner.valueStart(event, field.messageId), end);
  }

  /** Undefined when it is absent or no time that a row can hold. */
  #receivedAt(event: number): number | undefined {
    const end = this.#scanner.valueEnd(event, field.receivedAt);
    const ms = Date.parse(stringText(this.#body, this.#scanner.valueStart(event, field.receivedAt), end));
    return ms >= 0 ? ms : undefined;
  }

  /** The events of a batch are mostly of one user. */
  #rudderId(userId: string, anonymousId: string): string {
    if (userId !== this.#lastUserId || anonymousId !== this.#lastAnonymousId || this.#lastRudderId === '') {
      this.#lastUserId = userId;
      this.#lastAnonymousId = anonymousId;
      this.#lastRudderId = rudderIdOf(userId, anonymousId);
    }
    return this.#lastRudderId;
  }

  #isoOf(receivedAtMs: number): string {
    if (receivedAtMs !== this.#isoMs) {
      this.#isoMs = receivedAtMs;
      this.#iso = new Date(receivedAtMs).toISOString();
    }
    return this.#iso;
  }

  #id(event: number, which: Field): string {
    return idText(this.#body, this.#scanner.valueStart(event, which), this.#scanner.valueEnd(event, which));
  }

  #needsIdentity(event: number, forcedType: string | undefined): boolean {
    if (this.#options.allowEventsWithoutIdentity) return false;
    if (forcedType !== undefined) return !typesWithoutIdentity.has(forcedType);
    const start = this.#scanner.valueStart(event, field.type);
    return !typesWithoutIdentity.has(stringText(this.#body, start, this.#scanner.valueEnd(event, field.type)));
  }

  /** Most clients already send the type their route forces; then the bytes stay as they are. */
  #typeToSet(event: number, forcedType: string | undefined): string | undefined {
    if (forcedType === undefined) return undefined;
    const start = this.#scanner.valueStart(event, field.type);
    return rawText(this.#body, start, this.#scanner.valueEnd(event, field.type)) === forcedType
      ? undefined
      : forcedType;
  }

  /** The id as the event has it. */
  #setMessageId(event: number, fill: FillIns, job: Omit<Job, 'payload'>): string {
    const start = this.#scanner.valueStart(event, field.messageId);
    const raw = rawText(this.#body, start, this.#scanner.valueEnd(event, field.messageId));
    const clean = cleanText(raw);
    const messageId = clean === '' ? this.#options.newMessageId() : clean;
    job.messageId = keyText(messageId);
    fill.messageId = messageId === raw ? undefined : messageId;
    return messageId;
  }
}

export function compositeUserId(header: string, anonymousId: string, userId: string): string {
  const second = anonymousId === '' ? userId : anonymousId;
  return `${header}${userIdDelimiter}${second}${userIdDelimiter}${userId}`;
}

function memberText(value: unknown, name: string): string {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return '';
  const member: unknown = Object.entries(value).find(([key]) => key === name)?.[1];
  return typeof member === 'string' ? member : '';
}
