// The table of destinations in the README, generated from their definitions: documentation that cannot be wrong.

import type { DestinationType } from './destinations/destination.ts';
import { destinationTypes } from './destinations/registry.ts';
import { missingSender } from './destinations/senders.ts';

export const destinationMarkers = { begin: '<!-- destinations:begin -->', end: '<!-- destinations:end -->' };

export function destinationTable(types: readonly DestinationType[] = destinationTypes): string {
  const lines = types.map((type) => {
    const settings = type.settings.map(
      ({ key, isRequired, doc }) => `\`${key}\`${isRequired ? ' (needed)' : ''}: ${doc}`,
    );
    const cells = [`\`${type.name}\``, whatIsSent(type), settings.join('<br>')];
    return `| ${cells.map(escapeCell).join(' | ')} |`;
  });
  return ['| Type | What is sent | Keys of `config` |', '|---|---|---|', ...lines].join('\n');
}

function whatIsSent(type: DestinationType): string {
  const sentences = [type.summary];
  if (type.messageTypes !== undefined) sentences.push(`takes ${type.messageTypes.join(', ')}`);
  if (type.batch !== undefined) sentences.push(`its API takes up to ${type.batch.eventsMax} events in a request`);
  if (missingSender(type) !== undefined) sentences.push('**not delivered yet**: refused when it is configured');
  return sentences.join('; ');
}

function escapeCell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
