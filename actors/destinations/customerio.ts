// CUSTOMERIO: Customer.io's Track API (customer.io/docs/api/track). What is about a known person or a group goes to the
// batch endpoint of its version 2, events of visitors to that of version 1, which is the one that knows them.

import { batchTo, verdictsByIndex } from './batch.ts';
import { defineDestination } from './define-destination.ts';
import {
  abort,
  type BatchAnswer,
  type BatchVerdict,
  basicAuthorization,
  type EventMetadata,
  type EventObject,
  filter,
  isObject,
  postJson,
  sendTo,
  type TransformResult,
} from './destination.ts';
import { numberOf, pageNameOf, present, propertiesOf, textAt, textOf, timeMsOf, traitsOf } from './event-fields.ts';
import { oneOf, type SettingValues, text } from './settings.ts';

const hosts = { US: 'https://track.customer.io', EU: 'https://track-eu.customer.io' } as const;
/** Of one operation; the batch may have 500 KB. */
const operationBytesMax = 32 * 1000;
const tooLarge = 413;
/** Type of the objects that groups are, unless a trait says otherwise. */
const groupObjectType = '1';
const deviceEvents: ReadonlySet<string> = new Set([
  'Application Installed',
  'Application Opened',
  'Application Updated',
]);

const settings = {
  siteID: text('of the workspace'),
  apiKey: text('tracking key of the workspace'),
  datacenter: oneOf('where the workspace is', ['US', 'EU']),
  deviceTokenEventName: text('event that registers a device, besides those of the application’s life cycle', ''),
} as const;

export const customerio = defineDestination({
  name: 'CUSTOMERIO',
  deliveredBy: 'http',
  summary: 'people, events, devices and groups to the Track API',
  messageTypes: ['identify', 'track', 'page', 'screen', 'group', 'alias'],
  settings,
  batch: { eventsMax: 1000, bytesMax: 500 * 1000, verdicts: readVerdicts },
  prepare(given) {
    const authorization = basicAuthorization(given.siteID, given.apiKey);
    const host = hosts[given.datacenter];
    const send = batchTo(postJson(`${host}/api/v2/batch`, authorization), '{"batch":[', ']}');
    const sendAnonymous = sendTo(postJson(`${host}/api/v1/events`, authorization));
    return (event, metadata, type) => {
      const identifiers = identifiersOf(event);
      if (identifiers === undefined) return anonymous(event, metadata, type, sendAnonymous);
      const operation = operationOf(event, type, { identifiers, metadata, given });
      if (!('fields' in operation)) return operation;
      const result = send(operation.fields);
      if (result.kind !== 'deliver' || result.body.length <= operationBytesMax) return result;
      return abort(`expected at most ${operationBytesMax} bytes for Customer.io, got ${result.body.length}`, tooLarge);
    };
  },
});

/** A person is known by the user id, or by an email address alone. */
function identifiersOf(event: EventObject): Record<string, string> | undefined {
  const id = textOf(event.userId);
  if (id !== undefined) return { id };
  const email = textOf(traitsOf(event).email);
  return email === undefined ? undefined : { email };
}

interface Operation {
  fields: Record<string, unknown>;
}

interface Known {
  identifiers: Record<string, string>;
  metadata: EventMetadata;
  given: SettingValues<typeof settings>;
}

function operationOf(event: EventObject, type: string, known: Known): Operation | TransformResult {
  const { identifiers, metadata, given } = known;
  switch (type) {
    case 'identify':
      return { fields: person('identify', identifiers, { attributes: attributesOf(event, metadata) }) };
    case 'track': {
      const name = textOf(event.event);
      if (name === undefined) return abort('event is missing');
      const token = textAt(event, 'context.device.token');
      if (token !== undefined && (deviceEvents.has(name) || name === given.deviceTokenEventName))
        return { fields: person('add_device', identifiers, { device: deviceOf(event, token, metadata) }) };
      return { fields: person('event', identifiers, { name, ...happened(event, metadata) }) };
    }
    case 'group':
      return groupOf(event, identifiers);
    case 'alias': {
      const previousId = textOf(event.previousId);
      if (previousId === undefined) return abort('previousId is missing');
      return { fields: { type: 'person', action: 'merge', primary: identifiers, secondary: { id: previousId } } };
    }
    default: {
      const name = pageNameOf(event) ?? textAt(event, 'properties.url') ?? textAt(event, 'context.page.url');
      if (name === undefined) return abort(`the ${type} has neither name nor properties.url`);
      return { fields: person(type, identifiers, { name, ...happened(event, metadata) }) };
    }
  }
}

function person(
  action: string,
  identifiers: Record<string, string>,
  rest: Record<string, unknown>,
): Record<string, unknown> {
  return { type: 'person', action, identifiers, ...rest };
}

function happened(event: EventObject, metadata: EventMetadata): Record<string, unknown> {
  return { id: metadata.messageId, timestamp: secondsOf(event, metadata), attributes: propertiesOf(event) };
}

/** Customer.io shows `created_at` as the time a person came to be; it wants seconds. */
function attributesOf(event: EventObject, metadata: EventMetadata): Record<string, unknown> {
  const { createdAt, ...traits } = traitsOf(event);
  const created = createdAt === undefined ? undefined : secondsOfDate(createdAt);
  const visitor = textOf(event.anonymousId);
  return present({
    ...traits,
    created_at: created ?? traits.created_at,
    anonymous_id: visitor,
    _timestamp: secondsOf(event, metadata),
  });
}

function groupOf(event: EventObject, identifiers: Record<string, string>): Operation | TransformResult {
  const objectId = textOf(event.groupId);
  if (objectId === undefined) return abort('groupId is missing');
  const { objectTypeId, ...attributes } = isObject(event.traits) ? event.traits : {};
  return {
    fields: {
      type: 'object',
      action: 'identify',
      identifiers: { object_type_id: textOf(objectTypeId) ?? groupObjectType, object_id: objectId },
      attributes,
      cio_relationships: [{ identifiers }],
    },
  };
}

function deviceOf(event: EventObject, token: string, metadata: EventMetadata): Record<string, unknown> {
  const kind = `${textAt(event, 'context.device.type') ?? ''} ${textAt(event, 'context.os.name') ?? ''}`.toLowerCase();
  const platform = /ios|ipados|watchos|tvos|apple/.test(kind) ? 'ios' : 'android';
  return { token, platform, last_used: secondsOf(event, metadata), attributes: propertiesOf(event) };
}

/** Only events can be about somebody who is not known yet. */
function anonymous(
  event: EventObject,
  metadata: EventMetadata,
  type: string,
  send: ReturnType<typeof sendTo>,
): TransformResult {
  const visitor = textOf(event.anonymousId);
  if (visitor === undefined) return abort('userId, traits.email and anonymousId are missing');
  if (type === 'identify' || type === 'group' || type === 'alias')
    return filter(`Customer.io has no ${type} for a visitor without userId or traits.email`);
  const name = type === 'track' ? textOf(event.event) : (pageNameOf(event) ?? textAt(event, 'properties.url'));
  if (name === undefined)
    return abort(type === 'track' ? 'event is missing' : `the ${type} has neither name nor properties.url`);
  const body = {
    name,
    ...(type === 'track' ? {} : { type }),
    anonymous_id: visitor,
    id: metadata.messageId,
    timestamp: secondsOf(event, metadata),
    data: propertiesOf(event),
  };
  return send(Buffer.from(JSON.stringify(body)));
}

function secondsOf(event: EventObject, metadata: EventMetadata): number {
  return Math.floor(timeMsOf(event, metadata) / 1000);
}

function secondsOfDate(value: unknown): number | undefined {
  const number = numberOf(value);
  if (number !== undefined) return Math.floor(number > 1e11 ? number / 1000 : number);
  const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isNaN(ms) ? undefined : Math.floor(ms / 1000);
}

/** 207: all was taken but what `errors` names by its index; 400: the same, when nothing was left. */
function readVerdicts({ code, body }: BatchAnswer, count: number): BatchVerdict[] | undefined {
  if ((code !== 207 && code !== 400) || !Array.isArray(body.errors)) return undefined;
  const named = new Map<number, string>();
  for (const error of body.errors.filter(isObject))
    named.set(Number(error.batch_index), textOf(error.message) ?? textOf(error.reason) ?? 'refused');
  return verdictsByIndex(named, { code: 400, rest: { kind: 'ended', code: 200 }, count });
}
