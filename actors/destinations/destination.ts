// What a destination type implements: how one event becomes one request, or why it does not. Settings are looked at
// once per configuration change (`compile`), events one by one (`transform`), because the second runs for every event.

import type { RequestDescriptor } from '../job.ts';
import type { DestinationConfig } from '../services/workspace.ts';

/** A parsed event. Transforms must not change it: other destinations get the same object. */
export type EventObject = Record<string, unknown>;

/** What a transform may know about an event besides its content. */
export interface EventMetadata {
  sourceId: string;
  destinationId: string;
  messageId: string;
  receivedAtMs: number;
}

export type TransformResult =
  /** `request`: a RequestDescriptor as JSON. `event` as body: the event's own bytes, which nobody has to encode. */
  | { kind: 'deliver'; request: string; body: Uint8Array | 'event' }
  | { kind: 'filtered'; reason: string }
  /** It can never be sent: wrong settings, or an event the destination has no use for. `code` as in delivery.md 1.8. */
  | { kind: 'aborted'; code: number; reason: string };

export interface CompiledDestination {
  /** Why every event will be aborted, whatever it holds; told to the operator before the first one comes. */
  readonly problem?: string;
  transform(event: EventObject, metadata: EventMetadata): TransformResult;
}

export interface DestinationType {
  /** Name of the destination definition, upper case. */
  readonly name: string;
  compile(destination: DestinationConfig): CompiledDestination;
}

export function deliver(request: RequestDescriptor, body: Uint8Array | 'event'): TransformResult {
  return { kind: 'deliver', request: JSON.stringify(request), body };
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
