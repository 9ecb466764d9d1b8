// AM: Amplitude's HTTP V2 API (amplitude.com/docs/apis/analytics/http-v2). Events, user properties ($identify) and group
// properties ($groupidentify) all go to one address, so they keep their order; aliases have one of their own.

import type { RequestDescriptor } from '../job.ts';
import { batchTo, verdictsByIndex } from './batch.ts';
import { defineDestination } from './define-destination.ts';
import {
  abort,
  type BatchAnswer,
  type BatchVerdict,
  type EventMetadata,
  type EventObject,
  filter,
  isObject,
  postJson,
  sendTo,
  type TransformResult,
} from './destination.ts';
import {
  numberOf,
  objectAt,
  present,
  propertiesOf,
  renamed,
  textAt,
  textOf,
  timeMsOf,
  traitsOf,
} from './event-fields.ts';
import { pageEventName, pageSettings } from './page-events.ts';
import { names, oneOf, type SettingValues, text } from './settings.ts';

const hosts = { standard: 'https://api2.amplitude.com', EU: 'https://api.eu.amplitude.com' } as const;
const mappingHosts = { standard: 'https://api.amplitude.com', EU: 'https://api.eu.amplitude.com' } as const;
/** Where the answer to a refused batch names the events at fault. */
const faultFields = [
  'events_with_invalid_fields',
  'events_with_missing_fields',
  'events_with_invalid_id_lengths',
] as const;

/** Amplitude's field → where we have it. */
const contextFields = {
  app_version: 'context.app.version',
  platform: 'context.device.type',
  os_name: 'context.os.name',
  os_version: 'context.os.version',
  device_brand: 'context.device.brand',
  device_manufacturer: 'context.device.manufacturer',
  device_model: 'context.device.model',
  carrier: 'context.network.carrier',
  language: 'context.locale',
  ip: 'context.ip',
  location_lat: 'context.location.latitude',
  location_lng: 'context.location.longitude',
  country: 'context.location.country',
  region: 'context.location.region',
  city: 'context.location.city',
} as const;

const settings = {
  apiKey: text('of the project'),
  residencyServer: oneOf('where the project is', ['standard', 'EU']),
  groupTypeTrait: text('trait of a group event that holds the type of the group', ''),
  groupValueTrait: text('trait that holds its name', ''),
  traitsToIncrement: names('traits that are added to the value there is', 'traits'),
  traitsToSetOnce: names('traits that are set only where there is none', 'traits'),
  traitsToAppend: names('traits that are added to a list', 'traits'),
  traitsToPrepend: names('traits that are put before a list', 'traits'),
  ...pageSettings,
} as const;
type Settings = SettingValues<typeof settings>;

/** Of one event, as Amplitude wants it. */
interface Content {
  fields: Record<string, unknown>;
}

export const amplitude = defineDestination({
  name: 'AM',
  deliveredBy: 'http',
  summary: 'events, user and group properties to Amplitude by its HTTP V2 API',
  messageTypes: ['identify', 'track', 'page', 'screen', 'group', 'alias'],
  settings,
  batch: { eventsMax: 2000, bytesMax: 1_000_000, verdicts: readVerdicts },
  prepare(given) {
    const { apiKey, residencyServer } = given;
    // Amplitude ignores ids of less than five characters unless it is told not to.
    const open = `{"api_key":${JSON.stringify(apiKey)},"options":{"min_id_length":1},"events":[`;
    const send = batchTo(postJson(`${hosts[residencyServer]}/2/httpapi`), open, ']}');
    const map: RequestDescriptor = { ...postJson(`${mappingHosts[residencyServer]}/usermap`), format: 'FORM' };
    const sendMapping = sendTo(map);
    return (event, metadata, type) => {
      if (type === 'alias') return mapping(event, apiKey, sendMapping);
      const userId = textOf(event.userId);
      const deviceId = textAt(event, 'context.device.id') ?? textOf(event.anonymousId);
      if (userId === undefined && deviceId === undefined) return abort('userId and anonymousId are missing');
      const content = contentOf(event, type, given);
      if (!('fields' in content)) return content;
      return send({
        ...base(event, metadata),
        ...present({ user_id: userId, device_id: deviceId }),
        ...content.fields,
      });
    };
  },
});

function base(event: EventObject, metadata: EventMetadata): Record<string, unknown> {
  const session = numberOf(objectAt(event, 'context').sessionId);
  return {
    ...renamed(event, contextFields),
    time: timeMsOf(event, metadata),
    insert_id: metadata.messageId,
    // Amplitude's sessions are times in milliseconds; ours are in seconds when they are short.
    ...(session === undefined ? {} : { session_id: session < 1e11 ? session * 1000 : session }),
    library: 'sluice',
  };
}

function contentOf(event: EventObject, type: string, given: Settings): Content | TransformResult {
  switch (type) {
    case 'identify':
      return { fields: { event_type: '$identify', user_properties: userProperties(traitsOf(event), given) } };
    case 'track': {
      const name = textOf(event.event);
      if (name === undefined) return abort('event is missing');
      return { fields: { event_type: name, ...detailsOf(event), ...revenueOf(event) } };
    }
    case 'group':
      return groupOf(event, given);
    default: {
      const name = pageEventName(event, type, given);
      if (name === undefined) return filter(`trackNamedPages and trackCategorizedPages leave this ${type} out`);
      return { fields: { event_type: name, ...detailsOf(event) } };
    }
  }
}

/** Properties, and traits that came along with the event. */
function detailsOf(event: EventObject): Record<string, unknown> {
  const traits = objectAt(event, 'context.traits');
  const details = { event_properties: propertiesOf(event) };
  return Object.keys(traits).length === 0 ? details : { ...details, user_properties: traits };
}

function userProperties(traits: EventObject, given: Settings): Record<string, unknown> {
  const operations: [string, readonly string[]][] = [
    ['$setOnce', given.traitsToSetOnce],
    ['$add', given.traitsToIncrement],
    ['$append', given.traitsToAppend],
    ['$prepend', given.traitsToPrepend],
  ];
  const sorted = new Map<string, [string, unknown][]>();
  for (const [trait, value] of Object.entries(traits)) {
    const operation = operations.find(([, listed]) => listed.includes(trait))?.[0] ?? '$set';
    const others = sorted.get(operation);
    if (others === undefined) sorted.set(operation, [[trait, value]]);
    else others.push([trait, value]);
  }
  return Object.fromEntries([...sorted].map(([operation, entries]) => [operation, Object.fromEntries(entries)]));
}

function groupOf(event: EventObject, { groupTypeTrait, groupValueTrait }: Settings): Content | TransformResult {
  const traits = isObject(event.traits) ? event.traits : {};
  const own = groupTypeTrait === '' ? undefined : textAt(traits, groupTypeTrait);
  const value = groupValueTrait === '' ? textOf(event.groupId) : textAt(traits, groupValueTrait);
  if (groupTypeTrait !== '' && own === undefined)
    return abort(`the trait ${groupTypeTrait} is missing (groupTypeTrait)`);
  if (value === undefined)
    return abort(
      groupValueTrait === '' ? 'groupId is missing' : `the trait ${groupValueTrait} is missing (groupValueTrait)`,
    );
  const type = own ?? 'group';
  return {
    fields: { event_type: '$groupidentify', groups: { [type]: value }, group_properties: { $set: traits } },
  };
}

function revenueOf(event: EventObject): Record<string, unknown> {
  const { revenue, price, quantity, product_id: id, productId, revenue_type: kind, revenueType } = propertiesOf(event);
  const total = numberOf(revenue);
  const each = numberOf(price);
  if (total === undefined && each === undefined) return {};
  return present({
    revenue: total,
    price: each,
    quantity: numberOf(quantity) ?? (each === undefined ? undefined : 1),
    productId: textOf(id) ?? textOf(productId),
    revenueType: textOf(kind) ?? textOf(revenueType),
  });
}

function mapping(event: EventObject, apiKey: string, send: ReturnType<typeof sendTo>): TransformResult {
  const globalUserId = textOf(event.userId);
  const userId = textOf(event.previousId);
  if (userId === undefined) return abort('previousId is missing');
  if (globalUserId === undefined) return abort('userId is missing');
  const mapped = JSON.stringify([{ user_id: userId, global_user_id: globalUserId }]);
  return send(Buffer.from(new URLSearchParams({ api_key: apiKey, mapping: mapped }).toString()));
}

/** A 400 keeps nothing of the batch, and names the events at fault by field: `{field: [index, …]}`. */
function readVerdicts({ code, body }: BatchAnswer, count: number): BatchVerdict[] | undefined {
  if (code !== 400) return undefined;
  const named = new Map<number, string>();
  for (const field of faultFields) {
    for (const [what, indexes] of Object.entries(objectAt(body, field))) {
      for (const index of Array.isArray(indexes) ? indexes : []) named.set(Number(index), `${field}: ${what}`);
    }
  }
  const silenced = Array.isArray(body.silenced_events) ? body.silenced_events : [];
  for (const index of silenced) named.set(Number(index), 'silenced_events');
  return verdictsByIndex(named, { code, rest: { kind: 'again' }, count });
}
