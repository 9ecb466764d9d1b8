// A thread's side of the debuggers: takes samples where somebody watches, few enough that nobody else notices, and tells
// the process. While nobody watches it costs one comparison.

import type { Observation } from '../observations/contract.ts';
import type { Outcome, Tap, TapFactory } from '../processor/stage.ts';
import type { DeliveredJob, DeliveryObserver } from '../reporting/contract.ts';
import type { WorkspaceHolder } from '../services/workspace.ts';
import type { LiveSample, LiveTold, Watched } from './contract.ts';

/** Of one destination in a second, and of all together. */
const sampledPerSecond = 50;
const sampledTotalPerSecond = 200;
/** A larger event is not shown. */
const payloadBytesMax = 64 * 1024;
const responseCharactersMax = 10 * 1024;
const msPerSecond = 1_000;
const none: ReadonlySet<string> = new Set();

export class LiveTap {
  readonly #workspace: WorkspaceHolder;
  readonly #nowMs: () => number;
  #deliveries = none;
  #transformations = none;
  #tell: ((told: LiveTold) => boolean) | undefined;
  #second = 0;
  #sampled = new Map<string, number>();
  #sampledTotal = 0;

  constructor(workspace: WorkspaceHolder, nowMs: () => number) {
    this.#workspace = workspace;
    this.#nowMs = nowMs;
  }

  /** How to reach the process; the first one given is kept. */
  attach(tell: (told: LiveTold) => boolean): void {
    this.#tell ??= tell;
  }

  watch({ deliveries, transformations }: Watched): void {
    this.#deliveries = deliveries.length === 0 ? none : new Set(deliveries);
    this.#transformations = transformations.length === 0 ? none : new Set(transformations);
  }

  get isWatched(): boolean {
    return this.#deliveries.size > 0;
  }

  delivered(jobs: readonly DeliveredJob[]): void {
    const samples: LiveSample[] = [];
    for (const job of jobs) {
      if (!this.#deliveries.has(job.destinationId) || this.#isHidden(job.parameters?.source_id)) continue;
      if (job.payload.byteLength > payloadBytesMax || !this.#takes(job.destinationId)) continue;
      const payload = deliveryJson(job, this.#nowMs());
      samples.push({ of: 'delivery', destinationId: job.destinationId, atMs: this.#nowMs(), payload });
    }
    this.#send(samples);
  }

  /** Of sources with transformations; whoever has none pays nothing. */
  transformationTap(): TapFactory {
    return (source) => {
      const { destinations, transient } = source;
      const ids = new Map(destinations.map(({ id, transformations = [] }) => [id, transformations[0]?.id]));
      if (transient === true || ![...ids.values()].some((id) => id !== undefined)) return undefined;
      const tap: Tap = {
        processed: (outcome) => {
          if (this.#transformations.size > 0) this.#transformed(outcome, source.id, ids);
        },
      };
      return tap;
    };
  }

  #transformed({ inHand, transformed }: Outcome, sourceId: string, ids: ReadonlyMap<string, string | undefined>): void {
    const samples: LiveSample[] = [];
    for (const [destinationId, { outputs, failure }] of transformed ?? []) {
      if (!this.#transformations.has(destinationId)) continue;
      const before = inHand.text();
      const size = outputs.reduce((sum, output) => sum + output.length, before.length);
      if (size > payloadBytesMax || !this.#takes(destinationId)) continue;
      const about = { transformationId: ids.get(destinationId) ?? '', sourceId, destinationId };
      const told = { error: failure?.reason ?? '', statusCode: failure?.code ?? 200 };
      const events = `"eventBefore":${before},"eventsAfter":[${outputs.join(',')}]`;
      const payload = `${JSON.stringify(about).slice(0, -1)},${events},${JSON.stringify(told).slice(1)}`;
      samples.push({ of: 'transformation', destinationId, atMs: this.#nowMs(), payload });
    }
    this.#send(samples);
  }

  #isHidden(sourceId: string | undefined): boolean {
    return sourceId !== undefined && this.#workspace.current.sourceById(sourceId)?.transient === true;
  }

  #takes(destinationId: string): boolean {
    const second = Math.floor(this.#nowMs() / msPerSecond);
    if (second !== this.#second) {
      this.#second = second;
      this.#sampled.clear();
      this.#sampledTotal = 0;
    }
    const sampled = this.#sampled.get(destinationId) ?? 0;
    if (sampled >= sampledPerSecond || this.#sampledTotal >= sampledTotalPerSecond) return false;
    this.#sampled.set(destinationId, sampled + 1);
    this.#sampledTotal += 1;
    return true;
  }

  /** What does not arrive is not shown: nobody is told twice. */
  #send(samples: LiveSample[]): void {
    if (samples.length > 0) this.#tell?.({ kind: 'liveTold', samples });
  }
}

/** Tells reports and the debugger of the same commit. */
export class DeliveryObservers implements DeliveryObserver {
  readonly #reports: DeliveryObserver;
  readonly #live: LiveTap;

  constructor(reports: DeliveryObserver, live: LiveTap) {
    this.#reports = reports;
    this.#live = live;
  }

  get isWanted(): boolean {
    return this.#live.isWatched || this.#reports.isWanted;
  }

  observe(jobs: readonly DeliveredJob[]): Observation[] {
    if (this.#live.isWatched) this.#live.delivered(jobs);
    return this.#reports.isWanted ? this.#reports.observe(jobs) : [];
  }
}

function deliveryJson({ parameters, destinationId, payload, status }: DeliveredJob, nowMs: number): string {
  const about = {
    destinationId,
    sourceId: parameters?.source_id ?? '',
    attemptNum: status?.attempt ?? 1,
    jobState: status?.state ?? 'succeeded',
    errorCode: String(status?.code ?? 200),
    errorResponse: responseOf(status?.response),
    sentAt: new Date(status?.execTimeMs ?? nowMs).toISOString(),
    eventName: parameters?.event_name ?? '',
    eventType: parameters?.event_type ?? '',
  };
  const text = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString();
  return `${JSON.stringify(about).slice(0, -1)},"payload":${isJson(text) ? text : JSON.stringify(text)}}`;
}

function responseOf(text: string | undefined): unknown {
  if (text === undefined || text.length > responseCharactersMax) return {};
  try {
    return JSON.parse(text);
  } catch {
    return { response: text };
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
