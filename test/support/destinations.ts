// What destination types make of events, for golden tests: the request and the body as values, or how the event ended.

import assert from 'node:assert/strict';
import {
  completeRequest,
  type DestinationType,
  type EventMetadata,
  type EventObject,
  type TransformResult,
} from '../../actors/destinations/destination.ts';

import { destinationTypes } from '../../actors/destinations/registry.ts';
import type { RequestDescriptor } from '../../actors/job.ts';
import { makeDestination } from './workspace-objects.ts';

export const receivedAtMs = Date.parse('2026-03-01T12:00:00.000Z');
export const goldenMetadata: EventMetadata = {
  sourceId: 'src-1',
  destinationId: 'd',
  messageId: '0b7c5f2e-1111-4222-8333-944445555666',
  receivedAtMs,
};

export interface Sent {
  request: RequestDescriptor;
  /** Parsed when it is JSON; 'event' when the event's own bytes are sent. */
  body: unknown;
  /** As text; '' when the event's own bytes are sent. */
  text: string;
}

export function typeNamed(name: string): DestinationType {
  const type = destinationTypes.find((one) => one.name === name);
  assert.ok(type, `expected a destination type ${name}`);
  return type;
}

/** For one type and settings: what becomes of events. */
export function transformer(name: string, config: Record<string, unknown>): (event: EventObject) => TransformResult {
  const compiled = typeNamed(name).compile(makeDestination('d', { config }));
  return (event) => {
    const before = structuredClone(event);
    const result = compiled.transform(event, goldenMetadata);
    assert.deepEqual(event, before, 'expected the event of the others to stay as it was');
    return result;
  };
}

/** The request of a result that must be delivered. */
export function sentBy(result: TransformResult): Sent {
  assert.equal(result.kind, 'deliver', `expected a delivery, got ${JSON.stringify(result)}`);
  if (result.kind !== 'deliver') throw new Error('expected a delivery');
  const request = completeRequest(JSON.parse(result.request));
  const text = result.body === 'event' ? '' : Buffer.from(result.body).toString();
  const isJson = request.format === 'JSON' || request.format === 'JSON_ARRAY' || request.format === 'CUSTOM';
  return { request, text, body: result.body === 'event' ? 'event' : isJson ? JSON.parse(text) : text };
}

/** What is wrong with settings, as the operator is told. */
export function problemOf(name: string, config: Record<string, unknown>): string | undefined {
  return typeNamed(name).compile(makeDestination('d', { config })).problem;
}
