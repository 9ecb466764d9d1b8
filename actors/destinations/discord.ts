// DISCORD: a sentence about an event into a channel, by Discord's webhooks (discord.com/developers, "Execute Webhook").

import { defineDestination, type Transform } from './define-destination.ts';
import { abort, filter, postJson, sendTo } from './destination.ts';
import { textOf } from './event-fields.ts';
import { messageTemplate } from './message-template.ts';
import { matchedRows, matchesName } from './name-pattern.ts';
import { flag, names, rows, text, url } from './settings.ts';

const contentCharactersMax = 2000;
const titleCharactersMax = 256;
const descriptionCharactersMax = 4096;

export const discord = defineDestination({
  name: 'DISCORD',
  deliveredBy: 'http',
  summary: 'a sentence per track and identify into a channel (webhook)',
  messageTypes: ['identify', 'track'],
  settings: {
    webhookUrl: url('webhook of the channel'),
    identifyTemplate: text('sentence for an identify, with places as for SLACK', 'Identified {{name}}'),
    eventTemplateSettings: rows('sentences by event name, `*` for any part of it, or by regular expression', [
      'eventName',
      'eventTemplate',
      'eventRegex',
    ]),
    embedFlag: flag('send an embed instead of a plain text'),
    embedTitleTemplate: text('title of the embed', ''),
    embedDescriptionTemplate: text('text of the embed; empty: the sentence', ''),
    whitelistedTraitsSettings: names('traits that `{{traitsList}}` may show; empty: all', 'trait'),
    blacklistedEvents: names('events that are not told', 'eventName'),
  },
  prepare(settings): Transform | string {
    const { eventTemplateSettings, whitelistedTraitsSettings: traits, embedFlag, blacklistedEvents } = settings;
    const named = matchedRows('eventTemplateSettings', eventTemplateSettings);
    if (typeof named === 'string') return named;
    const templates = named
      .filter(({ eventTemplate }) => eventTemplate !== '')
      .map(({ matches, eventTemplate }) => ({ matches, template: messageTemplate(eventTemplate, escapeText, traits) }));
    const identified = messageTemplate(settings.identifyTemplate, escapeText, traits);
    const tracked = messageTemplate('{{name}} did {{event}}', escapeText);
    const title = messageTemplate(settings.embedTitleTemplate, escapeText, traits);
    const { embedDescriptionTemplate } = settings;
    const description =
      embedDescriptionTemplate === '' ? undefined : messageTemplate(embedDescriptionTemplate, escapeText, traits);
    const send = sendTo(postJson(settings.webhookUrl));
    return (event, _metadata, type) => {
      let template = identified;
      if (type === 'track') {
        const name = textOf(event.event);
        if (name === undefined) return abort('event is missing');
        if (blacklistedEvents.some((denied) => matchesName(denied, name)))
          return filter('the event is in blacklistedEvents');
        template = templates.find(({ matches }) => matches(name))?.template ?? tracked;
      }
      const message = embedFlag
        ? {
            embeds: [
              {
                title: title(event).slice(0, titleCharactersMax),
                description: (description ?? template)(event).slice(0, descriptionCharactersMax),
              },
            ],
          }
        : { content: template(event).slice(0, contentCharactersMax) };
      // What a user calls himself must not ping the whole channel.
      return send(Buffer.from(JSON.stringify({ ...message, allowed_mentions: { parse: [] } })));
    };
  },
});

/** Characters of Discord's markdown, so that names stay names. */
function escapeText(part: string): string {
  return part.replace(/[\\*_~`|>]/g, (character) => `\\${character}`);
}
