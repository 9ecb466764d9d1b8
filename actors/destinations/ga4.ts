// GA4: the Measurement Protocol (developers.google.com/analytics/devguides/collection/protocol/ga4). It answers 2xx to
// whatever it drops later, so what its documentation says is dropped is aborted here, with the reason.

import type { RequestDescriptor } from '../job.ts';
import { defineDestination, type Transform } from './define-destination.ts';
import { abort, type EventObject, filter, postJson, sendTo, type TransformResult } from './destination.ts';
import {
  numberOf,
  pageNameOf,
  present,
  propertiesOf,
  renamed,
  textAt,
  textOf,
  timeMsOf,
  traitsOf,
} from './event-fields.ts';
import { shopParams } from './ga4-ecommerce.ts';
import { flag, names, oneOf, text } from './settings.ts';

const nameCharactersMax = 40;
const paramsMax = 25;
const valueCharactersMax = 100;
/** Longer than for other texts. */
const pageCharactersMax: ReadonlyMap<string, number> = new Map([
  ['page_location', 1000],
  ['page_referrer', 420],
  ['page_title', 300],
]);
/** Of our own: session, engagement, debug. */
const ownParamsMax = 3;
const userPropertyNameMax = 24;
const userPropertyValueMax = 36;
const oldestMs = 72 * 60 * 60 * 1000;

const reservedNames: ReadonlySet<string> = new Set(
  `ad_activeview ad_click ad_exposure ad_query ad_reward adunit_exposure app_clear_data app_exception app_install
  app_remove app_store_refund app_update app_upgrade dynamic_link_app_open dynamic_link_app_update
  dynamic_link_first_open error firebase_campaign firebase_in_app_message_action firebase_in_app_message_dismiss
  firebase_in_app_message_impression first_open first_visit in_app_purchase notification_dismiss
  notification_foreground notification_open notification_receive notification_send os_update session_start
  user_engagement`.split(/\s+/),
);
const reservedPrefix = /^(?:_|firebase_|ga_|google_|gtag\.)/;

const pageParams = {
  page_location: 'context.page.url',
  page_referrer: 'context.page.referrer',
  page_title: 'context.page.title',
} as const;

export const ga4 = defineDestination({
  name: 'GA4',
  deliveredBy: 'http',
  summary: 'events, those of shops under their recommended names, by the Measurement Protocol',
  messageTypes: ['track', 'page', 'screen', 'group'],
  settings: {
    apiSecret: text('of the data stream'),
    typesOfClient: oneOf('kind of the data stream', ['gtag', 'firebase']),
    measurementId: text('of a `gtag` stream', ''),
    firebaseAppId: text('of a `firebase` stream', ''),
    sendUserId: flag('send the user id', true),
    debugMode: flag('show events in the debug view of GA4'),
    piiPropertiesToIgnore: names('traits that are not sent as user properties', 'piiProperty'),
  },
  prepare(given): Transform | string {
    const isApp = given.typesOfClient === 'firebase';
    if (isApp && given.firebaseAppId === '') return 'firebaseAppId is missing';
    if (!isApp && given.measurementId === '') return 'measurementId is missing';
    const stream = isApp ? { firebase_app_id: given.firebaseAppId } : { measurement_id: given.measurementId };
    const request: RequestDescriptor = {
      ...postJson('https://www.google-analytics.com/mp/collect'),
      params: { api_secret: given.apiSecret, ...stream },
    };
    const send = sendTo(request);
    return (event, metadata, type) => {
      const client = textAt(event, isApp ? 'context.appInstanceId' : 'context.clientId') ?? textOf(event.anonymousId);
      const clientId = client ?? (isApp ? undefined : textOf(event.userId));
      if (clientId === undefined) return abort(isApp ? 'context.appInstanceId is missing' : 'anonymousId is missing');
      const timeMs = timeMsOf(event, metadata);
      if (metadata.receivedAtMs - timeMs > oldestMs) return abort('GA4 takes no events from more than 72 hours ago');
      const measured = measuredEvent(event, type);
      if (!('params' in measured)) return measured;
      const problem = nameProblem(measured.name);
      if (problem !== undefined) return abort(problem);
      const debug = given.debugMode ? { debug_mode: 1 } : {};
      const body = present({
        [isApp ? 'app_instance_id' : 'client_id']: clientId,
        user_id: given.sendUserId ? textOf(event.userId) : undefined,
        timestamp_micros: timeMs * 1000,
        user_properties: userProperties(traitsOf(event), given.piiPropertiesToIgnore),
        events: [{ name: measured.name, params: { ...cleanParams(measured.params), ...sessionOf(event), ...debug } }],
      });
      return send(Buffer.from(JSON.stringify(body)));
    };
  },
});

interface Measured {
  name: string;
  params: Record<string, unknown>;
}

function measuredEvent(event: EventObject, type: string): Measured | TransformResult {
  const properties = propertiesOf(event);
  const page = renamed(event, pageParams);
  switch (type) {
    case 'track': {
      const name = textOf(event.event);
      if (name === undefined) return abort('event is missing');
      const { name: measured, params } = shopParams(name, properties) ?? { name: snakeCase(name), params: properties };
      return { name: measured, params: { ...page, ...params } };
    }
    case 'page': {
      const own = renamed(event, {
        page_location: 'properties.url',
        page_referrer: 'properties.referrer',
        page_title: 'properties.title',
      });
      return { name: 'page_view', params: { ...properties, ...page, ...own } };
    }
    case 'screen': {
      const name = pageNameOf(event);
      if (name === undefined) return abort('name is missing');
      return { name: 'screen_view', params: { ...properties, screen_name: name } };
    }
    default: {
      const groupId = textOf(event.groupId);
      return groupId === undefined
        ? filter('a group without groupId')
        : { name: 'join_group', params: { group_id: groupId } };
    }
  }
}

/** "Order Paid!" → "order_paid". */
function snakeCase(name: string): string {
  return name
    .trim()
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/_+$/, '')
    .replace(/^_+(?=.)/, '');
}

function nameProblem(name: string): string | undefined {
  if (!/^[a-z][a-z0-9_]*$/i.test(name)) return 'GA4 needs event names that begin with a letter';
  if (name.length > nameCharactersMax)
    return `expected an event name of at most ${nameCharactersMax} characters for GA4`;
  if (reservedNames.has(name) || reservedPrefix.test(name)) return `the event name ${name} is reserved by GA4`;
  return undefined;
}

/** GA4 drops the whole event for one parameter it cannot take. */
function cleanParams(params: Record<string, unknown>): Record<string, unknown> {
  const clean: [string, unknown][] = [];
  for (const [key, value] of Object.entries(params)) {
    if (clean.length === paramsMax - ownParamsMax) break;
    const name = key.replace(/[^A-Za-z0-9_]/g, '_').slice(0, nameCharactersMax);
    if (!/^[a-z]/i.test(name) || reservedPrefix.test(name)) continue;
    const taken = name === 'items' && Array.isArray(value) ? value : paramValue(value, pageCharactersMax.get(name));
    if (taken !== undefined) clean.push([name, taken]);
  }
  return Object.fromEntries(clean);
}

/** Texts, numbers and yes or no. */
function paramValue(value: unknown, charactersMax = valueCharactersMax): unknown {
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  return typeof value === 'string' && value !== '' ? value.slice(0, charactersMax) : undefined;
}

/** Without both, events are missing from reports of users and in real time. */
function sessionOf(event: EventObject): Record<string, unknown> {
  const session = textAt(event, 'context.sessionId') ?? textAt(event, 'properties.session_id');
  const engaged = numberOf(propertiesOf(event).engagement_time_msec) ?? 1;
  return present({ session_id: session, engagement_time_msec: engaged });
}

function userProperties(traits: EventObject, ignored: readonly string[]): Record<string, unknown> | undefined {
  const found: [string, { value: unknown }][] = [];
  for (const [trait, value] of Object.entries(traits)) {
    if (found.length === paramsMax) break;
    const name = trait.replace(/[^A-Za-z0-9_]/g, '_').slice(0, userPropertyNameMax);
    if (ignored.includes(trait) || !/^[a-z]/i.test(name) || reservedPrefix.test(name)) continue;
    const taken = paramValue(value);
    if (taken === undefined) continue;
    found.push([name, { value: typeof taken === 'string' ? taken.slice(0, userPropertyValueMax) : taken }]);
  }
  return found.length === 0 ? undefined : Object.fromEntries(found);
}
