// The table of destinations in the README, generated from their definitions: documentation that cannot be wrong.

import type { DestinationType, SettingDoc } from './destinations/destination.ts';
import { destinationTypes } from './destinations/registry.ts';
import { missingSender } from './destinations/senders.ts';

export const destinationMarkers = { begin: '<!-- destinations:begin -->', end: '<!-- destinations:end -->' };

export function destinationTable(types: readonly DestinationType[] = destinationTypes): string {
  const lines: string[] = [];
  const undelivered: string[] = [];
  for (const type of types) {
    if (missingSender(type) !== undefined) undelivered.push(`\`${type.name}\``);
    else lines.push(row([`\`${type.name}\``, whatIsSent(type), type.settings.map(settingText).join('<br>')]));
  }
  if (undelivered.length > 0)
    lines.push(row([undelivered.join(', '), 'events are transformed, but nothing delivers them yet: refused', '']));
  return ['| Type | What is sent | Keys of `config` |', '|---|---|---|', ...lines].join('\n');
}

function settingText({ key, isRequired, doc }: SettingDoc): string {
  return `\`${key}\`${isRequired ? ' (needed)' : ''}: ${doc}`;
}

function whatIsSent(type: DestinationType): string {
  const sentences = [type.summary];
  if (type.messageTypes !== undefined) sentences.push(`takes ${type.messageTypes.join(', ')}`);
  if (type.batch !== undefined) sentences.push(`up to ${type.batch.eventsMax} events in one request`);
  return sentences.join('; ');
}

function row(cells: readonly string[]): string {
  return `| ${cells.map(escapeCell).join(' | ')} |`;
}

function escapeCell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
