// Adds up what a commit reports, so that a batch of a thousand events costs a handful of rows. An example is taken of
// each kind of report once a minute and thread, and is small: it is there to recognise an event by, not to keep it.

import { minuteOf, noContent, type Observation, type ObservationCollector } from '../observations/contract.ts';
import type { ReportDetail, ReportedState, ReportLabels, ReportPlace, ReportSample } from './contract.ts';

const exampleBytesMax = 8 * 1024;
const examplesKnownMax = 10_000;

/** A place with its labels as text, made once and kept by whoever reports from there. */
export interface ReportingPlace {
  /** JSON text without its last brace. */
  readonly prefix: string;
  readonly takesExamples: boolean;
}

export function reportingPlace(place: ReportPlace, takesExamples: boolean): ReportingPlace {
  const labels: ReportLabels = Object.fromEntries(
    Object.entries(place).filter(([, value]) => value !== '' && value !== 0),
  );
  return { prefix: JSON.stringify(labels).slice(0, -1), takesExamples };
}

/** Of which reports there was an example already; one for each thread. */
export class ExampleGate {
  #minute = 0;
  readonly #known = new Set<string>();

  /** True once a minute for each kind of report. */
  isWanted(labels: string, atMs: number): boolean {
    const minute = minuteOf(atMs);
    if (minute > this.#minute) {
      this.#minute = minute;
      this.#known.clear();
    }
    if (this.#known.has(labels) || this.#known.size >= examplesKnownMax) return false;
    this.#known.add(labels);
    return true;
  }
}

/** An event as its reports name it. */
export interface ReportedEvent {
  readonly eventName: string;
  readonly eventType: string;
  /** When it was received: examples go by that time. */
  readonly atMs: number;
  /** Asked for only when an example is wanted. */
  example(): string;
}

/** How it left a stage. */
export interface ReportedEnd {
  readonly state: ReportedState;
  readonly statusCode: number;
  readonly errorType?: string;
  readonly violations?: number;
  /** What was answered; '' or absent when nothing was. */
  readonly response?: string;
}

interface Counted {
  count: number;
  violations: number;
  detail: ReportDetail;
  sample: string;
}

/** Hot where it is used: several additions for every event, none of which makes an object for what is known already. */
export class ReportTally implements ObservationCollector {
  readonly #gate: ExampleGate;
  /** By place, then by type and name of the event; of those there are few kinds. */
  readonly #places = new Map<ReportingPlace, Map<string, Counted[]>>();

  constructor(gate: ExampleGate) {
    this.#gate = gate;
  }

  add(place: ReportingPlace, event: ReportedEvent, end: ReportedEnd, count = 1): void {
    let events = this.#places.get(place);
    if (events === undefined) {
      events = new Map();
      this.#places.set(place, events);
    }
    // Names may hold U+0001 only by chance; a wrong sum of two odd names harms nobody.
    const key = event.eventType === '' ? event.eventName : `${event.eventType}\u0001${event.eventName}`;
    let kinds = events.get(key);
    if (kinds === undefined) {
      kinds = [];
      events.set(key, kinds);
    }
    const { state, statusCode, errorType = '', violations = 0 } = end;
    for (const known of kinds) {
      const { detail } = known;
      if (detail.state !== state || detail.statusCode !== statusCode || detail.errorType !== errorType) continue;
      known.count += count;
      known.violations += violations;
      return;
    }
    const detail = { state, statusCode, eventName: event.eventName, eventType: event.eventType, errorType };
    kinds.push({ count, violations, detail, sample: this.#example(place, detail, event, end) });
  }

  /** The sums so far; starts anew. */
  take(): Observation[] {
    const observations: Observation[] = [];
    for (const [{ prefix }, events] of this.#places) {
      for (const kinds of events.values()) {
        for (const { count, violations, detail, sample } of kinds) {
          const labels = `${prefix},${JSON.stringify(filled(detail)).slice(1)}`;
          const content = violations === 0 ? noContent : violationsContent(violations);
          observations.push({ topic: 'report', labels, count, sample, content });
        }
      }
    }
    this.#places.clear();
    return observations;
  }

  #example({ prefix, takesExamples }: ReportingPlace, detail: ReportDetail, event: ReportedEvent, end: ReportedEnd) {
    if (!takesExamples || !this.#gate.isWanted(`${prefix}${JSON.stringify(detail)}`, event.atMs)) return '';
    return exampleText({ event: event.example(), response: end.response ?? '' });
  }
}

function filled({ state, statusCode, eventName, eventType, errorType }: ReportDetail): ReportLabels {
  return {
    state,
    statusCode,
    ...(eventName === '' ? {} : { eventName }),
    ...(eventType === '' ? {} : { eventType }),
    ...(errorType === '' ? {} : { errorType }),
  };
}

/** '' when it would be too large: half an event tells nothing. */
function exampleText({ event, response }: ReportSample): string {
  if (Buffer.byteLength(event) > exampleBytesMax) event = '';
  return JSON.stringify({ event, response: response.slice(0, exampleBytesMax) });
}

const noExample: ReportSample = { event: '', response: '' };

export function exampleOf(text: string): ReportSample {
  return text === '' ? noExample : (JSON.parse(text) as ReportSample);
}

/** Four bytes each, one after the other when reports are added up. */
function violationsContent(violations: number): Uint8Array {
  const content = Buffer.alloc(4);
  content.writeUInt32BE(violations);
  return content;
}

export function violationsOf(content: Uint8Array): number {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  let sum = 0;
  for (let at = 0; at + 4 <= content.byteLength; at += 4) sum += view.getUint32(at);
  return sum;
}
