// Learns the shapes of a source's events: of each commit how many events had which shape. Nearly all events of a name have
// one of a few, so this is little to write; of a client that invents keys the shapes of a commit are counted, and those
// beyond a number are told without their keys.

import type { Observation, ObservationCollector } from '../observations/contract.ts';
import { noContent } from '../observations/contract.ts';
import { EventNames } from '../observations/event-names.ts';
import { type ObservingSettings, observingOf } from '../observations/observing.ts';
import type { CommitAdditions, EventInHand, Tap, TapFactory } from '../processor/stage.ts';
import { shapeOf } from './event-shape.ts';

/** Labels of an observation of the topic `schema`. */
export interface SchemaLabels {
  workspaceId: string;
  sourceId: string;
  writeKey: string;
  type: string;
  name: string;
  /** Path → type. */
  keys: Record<string, string>;
  isCut: boolean;
}

/** Told with their keys in one commit. */
const shapesMax = 200;
const shapeBytesMax = 32 * 1024;
const sampleBytesMax = 10 * 1024;
/** An example of a name is taken this often. */
const sampleEveryMs = 600_000;
const samplesKnownMax = 10_000;

export function schemaTap(settings: ObservingSettings): TapFactory {
  const names = new EventNames(settings.eventSchemas.schemasMax);
  const samples = new Map<string, number>();
  const make = (): SchemaTally => new SchemaTally();
  const { keysMax } = settings.eventSchemas;
  const wantsSample = (key: string, atMs: number): boolean => {
    const last = samples.get(key);
    if (last !== undefined && atMs < last + sampleEveryMs) return false;
    if (samples.size >= samplesKnownMax) samples.clear();
    samples.set(key, atMs);
    return true;
  };
  return (source) => {
    if (!observingOf(source, settings).schemas) return undefined;
    const { id: sourceId, workspaceId, writeKey } = source;
    const prefix = JSON.stringify({ workspaceId, sourceId, writeKey }).slice(0, -1);
    const learn = (inHand: EventInHand, commit: CommitAdditions): void => {
      const { event, handed, parameters } = inHand;
      if (parameters.source_job_run_id !== undefined) return;
      const { receivedAtMs } = handed.job;
      const type = names.nameOf(`${sourceId} types`, event.type, receivedAtMs);
      const name = names.nameOf(sourceId, event.event, receivedAtMs);
      const { paths, isCut } = shapeOf(event, keysMax);
      const about = `${prefix},"type":${JSON.stringify(type)},"name":${JSON.stringify(name)}`;
      const known = commit.collect(make).add(about, JSON.stringify(Object.fromEntries(paths)), isCut);
      if (known.sample === '' && wantsSample(about, receivedAtMs)) {
        const bytes = Buffer.concat(inHand.encoded());
        if (bytes.byteLength <= sampleBytesMax) known.sample = bytes.toString();
      }
    };
    const tap: Tap = {
      processed: ({ inHand }, commit) => learn(inHand, commit),
      ended: (_handed, inHand, { kind }, commit) => {
        if (inHand !== undefined && kind !== 'deduplicated') learn(inHand, commit);
      },
    };
    return tap;
  };
}

class SchemaTally implements ObservationCollector {
  readonly #shapes = new Map<string, { count: number; sample: string }>();

  add(about: string, keys: string, isCut: boolean): { count: number; sample: string } {
    let labels = `${about},"keys":${keys},"isCut":${isCut}}`;
    const isTooMuch = Buffer.byteLength(keys) > shapeBytesMax || this.#shapes.size >= shapesMax;
    if (isTooMuch && !this.#shapes.has(labels)) labels = `${about},"keys":{},"isCut":true}`;
    let shape = this.#shapes.get(labels);
    if (shape === undefined) {
      shape = { count: 0, sample: '' };
      this.#shapes.set(labels, shape);
    }
    shape.count += 1;
    return shape;
  }

  take(): Observation[] {
    const observations = [...this.#shapes].map(
      ([labels, { count, sample }]): Observation => ({ topic: 'schema', labels, count, sample, content: noContent }),
    );
    this.#shapes.clear();
    return observations;
  }
}
