// MP: events to Mixpanel's import API, people and groups to its profile APIs (developer.mixpanel.com/reference:
// import-events, profile-set, group-set-property).

import { createHash } from 'node:crypto';
import type { RequestDescriptor } from '../job.ts';
import { batchTo, verdictsByIndex } from './batch.ts';
import { defineDestination, type Transform } from './define-destination.ts';
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
  type TransformResult,
} from './destination.ts';
import { present, propertiesOf, renamed, textAt, textOf, timeMsOf, traitsOf } from './event-fields.ts';
import { pageEventName, pageSettings } from './page-events.ts';
import { names, oneOf, type SettingValues, text } from './settings.ts';

const hosts = {
  us: 'https://api.mixpanel.com',
  eu: 'https://api-eu.mixpanel.com',
  in: 'https://api-in.mixpanel.com',
} as const;
const insertIdPattern = /^[A-Za-z0-9-]{1,36}$/;
/** Of one update there may be two, so that a batch stays below the 2000 that Mixpanel takes. */
const eventsMax = 1000;

/** Mixpanel's property → where we have it. */
const contextProperties = {
  ip: 'context.ip',
  $current_url: 'context.page.url',
  $referrer: 'context.page.referrer',
  $screen_width: 'context.screen.width',
  $screen_height: 'context.screen.height',
  $screen_dpi: 'context.screen.density',
  $os: 'context.os.name',
  $os_version: 'context.os.version',
  $manufacturer: 'context.device.manufacturer',
  $model: 'context.device.model',
  $carrier: 'context.network.carrier',
  $wifi: 'context.network.wifi',
  $app_version_string: 'context.app.version',
  $app_build_number: 'context.app.build',
  $lib_version: 'context.library.version',
  utm_source: 'context.campaign.source',
  utm_medium: 'context.campaign.medium',
  utm_campaign: 'context.campaign.name',
  utm_term: 'context.campaign.term',
  utm_content: 'context.campaign.content',
} as const;

/** Traits that Mixpanel shows by itself when they have its names. */
const knownTraits: ReadonlyMap<string, string> = new Map([
  ['email', '$email'],
  ['name', '$name'],
  ['firstName', '$first_name'],
  ['lastName', '$last_name'],
  ['phone', '$phone'],
  ['avatar', '$avatar'],
  ['createdAt', '$created'],
  ['city', '$city'],
  ['region', '$region'],
  ['country', '$country_code'],
  ['timezone', '$timezone'],
]);

const settings = {
  token: text('of the project'),
  dataResidency: oneOf('where the project is', ['us', 'eu', 'in']),
  serviceAccountUserName: text('service account that events are sent by; empty: `apiSecret`, or else `token`', ''),
  serviceAccountSecret: text('its secret', ''),
  projectId: text('needed with a service account', ''),
  apiSecret: text('of the project, for events', ''),
  identityMergeApi: oneOf('of the project; in `original` nothing but alias events merges users', [
    'simplified',
    'original',
  ]),
  setOnceProperties: names('traits that are set only where there is none', 'property'),
  groupKeySettings: names('group keys; group events set the group of the first one', 'groupKey'),
  ...pageSettings,
} as const;
type Settings = SettingValues<typeof settings>;

interface Senders {
  event: (...elements: readonly unknown[]) => TransformResult;
  profile: (...elements: readonly unknown[]) => TransformResult;
  group: (...elements: readonly unknown[]) => TransformResult;
}

export const mixpanel = defineDestination({
  name: 'MP',
  deliveredBy: 'http',
  summary: 'events, people and groups to Mixpanel',
  messageTypes: ['identify', 'track', 'page', 'screen', 'group', 'alias'],
  settings,
  batch: { eventsMax, bytesMax: 2_000_000, verdicts: readVerdicts },
  prepare(given): Transform | string {
    if (given.serviceAccountUserName !== '' && given.serviceAccountSecret === '')
      return 'serviceAccountSecret is missing';
    if (given.serviceAccountUserName !== '' && given.projectId === '') return 'projectId is missing';
    const senders = sendersOf(given);
    return (event, metadata, type) => {
      const ids = idsOf(event, given);
      if (ids === undefined) return abort('userId and anonymousId are missing');
      if (type === 'identify') return identify(event, ids, given, senders);
      if (type === 'group') return group(event, given, senders);
      if (type === 'alias') return alias(event, metadata, given, senders);
      const name = type === 'track' ? textOf(event.event) : pageEventName(event, type, given);
      if (name === undefined) {
        if (type === 'track') return abort('event is missing');
        return filter(`trackNamedPages and trackCategorizedPages leave this ${type} out`);
      }
      const properties = { ...renamed(event, contextProperties), ...propertiesOf(event), ...ids };
      return senders.event(eventNamed(name, properties, event, metadata, given));
    };
  },
});

function sendersOf({
  token,
  dataResidency,
  serviceAccountUserName,
  serviceAccountSecret,
  projectId,
  apiSecret,
}: Settings): Senders {
  const host = hosts[dataResidency];
  const authorization =
    serviceAccountUserName === ''
      ? basicAuthorization(apiSecret === '' ? token : apiSecret, '')
      : basicAuthorization(serviceAccountUserName, serviceAccountSecret);
  const project = projectId === '' ? {} : { project_id: projectId };
  // strict: Mixpanel then says which events it refused, and takes the others.
  const events: RequestDescriptor = { ...postJson(`${host}/import`, authorization), params: { strict: 1, ...project } };
  const updates = (path: string): RequestDescriptor => ({ ...postJson(`${host}${path}`), params: { verbose: 1 } });
  return {
    event: batchTo(events, '[', ']'),
    profile: batchTo(updates('/engage'), '[', ']'),
    group: batchTo(updates('/groups'), '[', ']', 100),
  };
}

type Ids = Record<string, string>;

/** In simplified projects Mixpanel works out the distinct id from both, and merges them when they come together. */
function idsOf(event: EventObject, { identityMergeApi }: Settings): Ids | undefined {
  const userId = textOf(event.userId);
  const deviceId = textOf(event.anonymousId) ?? textAt(event, 'context.device.id');
  const distinctId = userId ?? deviceId;
  if (distinctId === undefined) return undefined;
  if (identityMergeApi === 'original') return { distinct_id: distinctId };
  const ids: Ids = { distinct_id: userId ?? `$device:${deviceId}` };
  if (userId !== undefined) ids.$user_id = userId;
  if (deviceId !== undefined) ids.$device_id = deviceId;
  return ids;
}

function eventNamed(
  name: string,
  properties: Record<string, unknown>,
  event: EventObject,
  metadata: EventMetadata,
  { token }: Settings,
): Record<string, unknown> {
  const own = { token, time: timeMsOf(event, metadata), $insert_id: insertIdOf(metadata.messageId), mp_lib: 'sluice' };
  return { event: name, properties: { ...properties, ...own } };
}

/** Mixpanel takes ids of 36 letters, digits and dashes; others become a hash of the same length. */
function insertIdOf(messageId: string): string {
  if (insertIdPattern.test(messageId)) return messageId;
  return createHash('sha256').update(messageId).digest('hex').slice(0, 36);
}

function identify(
  event: EventObject,
  ids: Ids,
  { token, setOnceProperties }: Settings,
  { profile }: Senders,
): TransformResult {
  const always: [string, unknown][] = [];
  const once: [string, unknown][] = [];
  for (const [trait, value] of Object.entries(traitsOf(event))) {
    const list = setOnceProperties.includes(trait) ? once : always;
    list.push([knownTraits.get(trait) ?? trait, value]);
  }
  const about = present({ $token: token, $distinct_id: ids.distinct_id, $ip: textAt(event, 'context.ip') });
  const updates = [{ ...about, $set: Object.fromEntries(always) }];
  return once.length === 0
    ? profile(...updates)
    : profile(...updates, { ...about, $set_once: Object.fromEntries(once) });
}

function group(event: EventObject, { token, groupKeySettings }: Settings, senders: Senders): TransformResult {
  const [key] = groupKeySettings;
  if (key === undefined) return filter('groupKeySettings names no group key');
  const traits = isObject(event.traits) ? event.traits : {};
  const id = textAt(traits, key) ?? textOf(event.groupId);
  if (id === undefined) return abort(`groupId and the trait ${key} are missing`);
  return senders.group({ $token: token, $group_key: key, $group_id: id, $set: traits });
}

function alias(event: EventObject, metadata: EventMetadata, given: Settings, senders: Senders): TransformResult {
  const previousId = textOf(event.previousId);
  const userId = textOf(event.userId);
  if (previousId === undefined) return abort('previousId is missing');
  if (userId === undefined) return abort('userId is missing');
  if (given.identityMergeApi === 'simplified') return filter('a simplified project has no aliases (identityMergeApi)');
  const properties = { distinct_id: previousId, alias: userId };
  return senders.event(eventNamed('$create_alias', properties, event, metadata, given));
}

/** A 400 of the import keeps all events but those it names. */
function readVerdicts({ code, body }: BatchAnswer, count: number): BatchVerdict[] | undefined {
  if (code !== 400 || !Array.isArray(body.failed_records)) return undefined;
  const named = new Map<number, string>();
  for (const record of body.failed_records.filter(isObject))
    named.set(Number(record.index), `${textOf(record.field) ?? 'event'}: ${textOf(record.message) ?? 'refused'}`);
  return verdictsByIndex(named, { code, rest: { kind: 'ended', code: 200 }, count });
}
