// POSTHOG: events by PostHog's capture API (posthog.com/docs/api, "POST-only public endpoints"). What PostHog does by
// its own is asked for by event names and properties that begin with $.

import { batchTo } from './batch.ts';
import { defineDestination } from './define-destination.ts';
import { abort, type EventMetadata, type EventObject, postJson, type TransformResult } from './destination.ts';
import { isoTimeOf, pageNameOf, present, propertiesOf, renamed, textOf, traitsOf } from './event-fields.ts';
import { text, url } from './settings.ts';

const uuidPattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** PostHog's property → where we have it. */
const contextProperties = {
  $ip: 'context.ip',
  $current_url: 'context.page.url',
  $pathname: 'context.page.path',
  $referrer: 'context.page.referrer',
  $title: 'context.page.title',
  $raw_user_agent: 'context.userAgent',
  $app_version: 'context.app.version',
  $app_name: 'context.app.name',
  $app_namespace: 'context.app.namespace',
  $device_id: 'context.device.id',
  $device_manufacturer: 'context.device.manufacturer',
  $device_model: 'context.device.model',
  $device_type: 'context.device.type',
  $os: 'context.os.name',
  $os_version: 'context.os.version',
  $screen_height: 'context.screen.height',
  $screen_width: 'context.screen.width',
  $locale: 'context.locale',
  $timezone: 'context.timezone',
  $lib: 'context.library.name',
  $lib_version: 'context.library.version',
  utm_source: 'context.campaign.source',
  utm_medium: 'context.campaign.medium',
  utm_campaign: 'context.campaign.name',
  utm_term: 'context.campaign.term',
  utm_content: 'context.campaign.content',
} as const;

const pageProperties = {
  $current_url: 'properties.url',
  $pathname: 'properties.path',
  $referrer: 'properties.referrer',
  $title: 'properties.title',
} as const;

interface Capture {
  event: string;
  distinct_id: string;
  properties: Record<string, unknown>;
}

export const posthog = defineDestination({
  name: 'POSTHOG',
  deliveredBy: 'http',
  summary: 'every event to the capture API',
  messageTypes: ['identify', 'track', 'page', 'screen', 'group', 'alias'],
  settings: {
    teamApiKey: text('key of the project'),
    yourInstance: url('host of the instance, for the EU `https://eu.i.posthog.com`', 'https://us.i.posthog.com'),
    groupType: text('type of the groups that group events are about', 'company'),
  },
  batch: { eventsMax: 1000, bytesMax: 10 * 1024 * 1024 },
  prepare({ teamApiKey, yourInstance, groupType }) {
    const endpoint = new URL('batch/', yourInstance.endsWith('/') ? yourInstance : `${yourInstance}/`).href;
    const send = batchTo(postJson(endpoint), `{"api_key":${JSON.stringify(teamApiKey)},"batch":[`, ']}');
    return (event, metadata, type) => {
      const userId = textOf(event.userId);
      const distinctId = userId ?? textOf(event.anonymousId);
      if (distinctId === undefined) return abort('userId and anonymousId are missing');
      const capture = captureOf(event, type, distinctId, groupType);
      return 'kind' in capture ? capture : send(withDetails(capture, event, metadata));
    };
  },
});

function captureOf(event: EventObject, type: string, distinctId: string, groupType: string): Capture | TransformResult {
  const properties = propertiesOf(event);
  const groupId = textOf(event.groupId);
  switch (type) {
    case 'identify': {
      const anonymousId = textOf(event.anonymousId);
      // Only for a user who was somebody else before: merging a person with itself is an error there.
      const merged = anonymousId === undefined || anonymousId === distinctId ? {} : { $anon_distinct_id: anonymousId };
      return { event: '$identify', distinct_id: distinctId, properties: { $set: traitsOf(event), ...merged } };
    }
    case 'track': {
      const name = textOf(event.event);
      if (name === undefined) return abort('event is missing');
      return { event: name, distinct_id: distinctId, properties: { ...properties } };
    }
    case 'page':
      return {
        event: '$pageview',
        distinct_id: distinctId,
        properties: present({ ...properties, ...renamed(event, pageProperties), name: pageNameOf(event) }),
      };
    case 'screen':
      return {
        event: '$screen',
        distinct_id: distinctId,
        properties: present({ ...properties, $screen_name: pageNameOf(event) }),
      };
    case 'group':
      if (groupId === undefined) return abort('groupId is missing');
      return {
        event: '$groupidentify',
        distinct_id: distinctId,
        properties: { $group_type: groupType, $group_key: groupId, $group_set: { ...(event.traits as object) } },
      };
    default: {
      const alias = textOf(event.previousId);
      if (alias === undefined) return abort('previousId is missing');
      return { event: '$create_alias', distinct_id: distinctId, properties: { distinct_id: distinctId, alias } };
    }
  }
}

function withDetails(capture: Capture, event: EventObject, metadata: EventMetadata): Record<string, unknown> {
  const { messageId } = metadata;
  return {
    event: capture.event,
    distinct_id: capture.distinct_id,
    properties: { ...renamed(event, contextProperties), ...capture.properties },
    timestamp: isoTimeOf(event, metadata),
    // By it PostHog knows an event that comes a second time.
    ...(uuidPattern.test(messageId) ? { uuid: messageId } : {}),
  };
}
