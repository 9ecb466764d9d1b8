// What stages tell about events beside the main path: metrics for reports, schemas of events, sketches of users. It
// travels in the commit of the events it is about and is written in the same transaction, so that it is neither lost nor
// told twice; whoever reads it does so later and at its own pace (observation-log.ts).

export type ObservationTopic = 'report' | 'schema' | 'users';

export interface Observation {
  topic: ObservationTopic;
  /** JSON text. Those committed in one minute with equal labels are added up: it holds nothing there are many of. */
  labels: string;
  count: number;
  /** An example, or ''. Of equal observations any one is kept. */
  sample: string;
  /** Of equal observations the contents are put one after the other. */
  content: Uint8Array;
}

/** Gathers what is to be told with one commit. */
export interface ObservationCollector {
  take(): Observation[];
}

export const noContent = new Uint8Array(0);

export const observationColumns = 'topic, minute, labels, count, sample, content';

/** Tables that commits write to in turn, a minute each: one is emptied while none writes to it. */
export const observationSlots = 4;
const msPerMinute = 60_000;

export function observationSlot(nowMs: number): number {
  return minuteOf(nowMs) % observationSlots;
}

export function observationTable(nowMs: number): string {
  return `sluice_observations_${observationSlot(nowMs)}`;
}

export function minuteOf(nowMs: number): number {
  return Math.floor(nowMs / msPerMinute);
}
