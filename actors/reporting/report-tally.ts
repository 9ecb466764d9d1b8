// Adds up what a commit reports, so that a batch of a thousand events costs a handful of rows. An example is taken of
// each kind of report once a minute and thread, and is small: it is there to recognise an event by, not to keep it.

import { minuteOf, noContent, type Observation } from '../observations/contract.ts';
import type { ReportDetail, ReportLabels, ReportPlace, ReportSample } from './contract.ts';

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

interface Counted {
  count: number;
  violations: number;
  detail: ReportDetail;
  sample: string;
}

export interface ReportAddition extends ReportDetail {
  count?: number;
  violations?: number;
  /** Asked for only when an example is wanted. */
  sample?: () => ReportSample;
  /** When the event was received: examples go by that time. */
  atMs?: number;
}

export class ReportTally {
  readonly #gate: ExampleGate;
  readonly #places = new Map<ReportingPlace, Map<string, Counted>>();

  constructor(gate: ExampleGate) {
    this.#gate = gate;
  }

  add(place: ReportingPlace, addition: ReportAddition): void {
    const { state, statusCode, eventName, eventType, errorType, count = 1, violations = 0 } = addition;
    let counted = this.#places.get(place);
    if (counted === undefined) {
      counted = new Map();
      this.#places.set(place, counted);
    }
    // Names may hold anything but U+0000 only by chance; a wrong sum of two odd names harms nobody.
    const key = `${state}\0${statusCode}\0${eventType}\0${errorType}\0${eventName}`;
    const known = counted.get(key);
    if (known !== undefined) {
      known.count += count;
      known.violations += violations;
      return;
    }
    const detail = { state, statusCode, eventName, eventType, errorType };
    counted.set(key, { count, violations, detail, sample: this.#example(place, key, addition) });
  }

  /** The sums so far; starts anew. */
  take(): Observation[] {
    const observations: Observation[] = [];
    for (const [{ prefix }, counted] of this.#places) {
      for (const { count, violations, detail, sample } of counted.values()) {
        const labels = `${prefix},${JSON.stringify(filled(detail)).slice(1)}`;
        const content = violations === 0 ? noContent : violationsContent(violations);
        observations.push({ topic: 'report', labels, count, sample, content });
      }
    }
    this.#places.clear();
    return observations;
  }

  #example({ prefix, takesExamples }: ReportingPlace, key: string, { sample, atMs = 0 }: ReportAddition): string {
    if (sample === undefined || !takesExamples) return '';
    return this.#gate.isWanted(`${prefix}\0${key}`, atMs) ? exampleText(sample()) : '';
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
