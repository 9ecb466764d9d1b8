// SLACK: a sentence about an event into a channel, by Slack's incoming webhooks (docs.slack.dev, "Sending messages
// using incoming webhooks").

import { defineDestination, type Transform } from './define-destination.ts';
import { abort, type EventObject, filter, isHttpUrl, postJson, sendTo } from './destination.ts';
import { textOf } from './event-fields.ts';
import { type MessageTemplate, messageTemplate } from './message-template.ts';
import { matchedRows, matchesName } from './name-pattern.ts';
import { names, rows, text, url } from './settings.ts';

/** Slack cuts longer texts off. */
const textCharactersMax = 40_000;
const places =
  'with `{{name}}`, `{{event}}`, `{{properties.…}}`, `{{traits.…}}`, `{{traitsList}}`, `{{propertiesList}}`';

export const slack = defineDestination({
  name: 'SLACK',
  deliveredBy: 'http',
  summary: 'a sentence per track and identify into a channel (incoming webhook)',
  messageTypes: ['identify', 'track'],
  settings: {
    webhookUrl: url('incoming webhook of the channel'),
    identifyTemplate: text(`sentence for an identify, ${places}`, 'Identified {{name}}'),
    eventTemplateSettings: rows('sentences by event name, `*` for any part of it, or by regular expression', [
      'eventName',
      'eventTemplate',
      'eventRegex',
    ]),
    eventChannelSettings: rows('other channels by event name', ['eventName', 'eventChannelWebhook', 'eventRegex']),
    whitelistedTraitsSettings: names('traits that `{{traitsList}}` may show; empty: all', 'trait'),
    denyListOfEvents: names('events that are not told', 'eventName'),
  },
  prepare(settings): Transform | string {
    const { eventTemplateSettings, eventChannelSettings, whitelistedTraitsSettings: traits } = settings;
    const namedTemplates = matchedRows('eventTemplateSettings', eventTemplateSettings);
    if (typeof namedTemplates === 'string') return namedTemplates;
    const namedChannels = matchedRows('eventChannelSettings', eventChannelSettings);
    if (typeof namedChannels === 'string') return namedChannels;
    const badChannel = eventChannelSettings.find(({ eventChannelWebhook }) => !isHttpUrl(eventChannelWebhook));
    if (badChannel !== undefined)
      return `eventChannelSettings: expected eventChannelWebhook of ${badChannel.eventName} to be an http or https URL`;
    const channels = namedChannels.map(({ matches, eventChannelWebhook }) => ({
      matches,
      send: sendTo(postJson(eventChannelWebhook)),
    }));
    const templates = namedTemplates
      .filter(({ eventTemplate }) => eventTemplate !== '')
      .map(({ matches, eventTemplate }) => ({ matches, template: messageTemplate(eventTemplate, escapeText, traits) }));
    const identified = messageTemplate(settings.identifyTemplate, escapeText, traits);
    const tracked = messageTemplate('{{name}} did {{event}}', escapeText);
    const send = sendTo(postJson(settings.webhookUrl));
    return (event, _metadata, type) => {
      if (type === 'identify') return send(bodyOf(identified, event));
      const name = textOf(event.event);
      if (name === undefined) return abort('event is missing');
      if (settings.denyListOfEvents.some((denied) => matchesName(denied, name)))
        return filter('the event is in denyListOfEvents');
      const template = templates.find(({ matches }) => matches(name))?.template ?? tracked;
      const channel = channels.find(({ matches }) => matches(name));
      return (channel?.send ?? send)(bodyOf(template, event));
    };
  },
});

function bodyOf(template: MessageTemplate, event: EventObject): Uint8Array {
  return Buffer.from(JSON.stringify({ text: template(event).slice(0, textCharactersMax) }));
}

/** The three characters by which Slack knows links and mentions. */
function escapeText(part: string): string {
  return part.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
