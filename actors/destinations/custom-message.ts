// What types have in common that are delivered by a sender of their own instead of an HTTP request: the shape of their
// jobs (spec/delivery.md 1.13), and settings that choose a topic or stream by the event.

import { type EventObject, encodeRequest, type TransformResult } from './destination.ts';
import { textOf } from './event-fields.ts';
import { flag, text } from './settings.ts';

const encoded = encodeRequest({ method: '', endpoint: '', headers: {}, params: {}, format: 'CUSTOM' });

/** The sender of the type gets this as JSON, together with the destination's settings. */
export function sendMessage(message: object): TransformResult {
  return { kind: 'deliver', request: encoded, body: Buffer.from(JSON.stringify(message)) };
}

/** The event as it is, for who only stores it. */
export const sendEvent: TransformResult = { kind: 'deliver', request: encoded, body: 'event' };

export const awsSettings = {
  region: text('AWS region'),
  accessKeyID: text('key'),
  secretAccessKey: text('its secret'),
  roleBasedAuth: flag('roles instead of keys: not supported'),
} as const;

/** What is wrong with them together. */
export function awsProblem({ region, roleBasedAuth }: { region: string; roleBasedAuth: boolean }): string | undefined {
  if (!/^[a-z0-9-]+$/.test(region)) return `expected region to be one like eu-west-1, got ${JSON.stringify(region)}`;
  return roleBasedAuth ? 'roleBasedAuth is not supported: give accessKeyID and secretAccessKey' : undefined;
}

/** Who the event is about: messages of one user stay in order where the vendor keeps order by key. */
export function orderKeyOf(event: EventObject): string {
  return textOf(event.userId) ?? textOf(event.anonymousId) ?? '';
}

export type EventMapping = (event: EventObject, type: string) => string | undefined;

/** Rows `{from, to}`: `from` is the name of an event, else a type of events, else `*` for all. Case does not count. */
export function eventMapping(rows: readonly { from: string; to: string }[]): EventMapping {
  const targets = new Map<string, string>();
  for (const { from, to } of rows) {
    const key = from.toLowerCase();
    if (to !== '' && !targets.has(key)) targets.set(key, to);
  }
  return (event, type) => {
    const name = textOf(event.event)?.trim().toLowerCase();
    const byName = name === undefined ? undefined : targets.get(name);
    return byName ?? targets.get(type) ?? targets.get('*');
  };
}
