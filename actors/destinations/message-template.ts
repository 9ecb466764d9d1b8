// Texts for chats, with places for parts of the event: `{{ name }} paid {{ properties.total }}`. Nothing can be computed
// in them: a template language would be code of customers outside the sandbox.

import { type EventObject, isObject } from './destination.ts';
import { propertiesOf, textOf, traitsOf, valueAt } from './event-fields.ts';

export type MessageTemplate = (event: EventObject) => string;

const placePattern = /\{\{\{?\s*([\w.$-]+)\s*\}?\}\}/g;

/** `escapeText`: what the chat needs for a text that is not part of the template. */
export function messageTemplate(
  template: string,
  escapeText: (text: string) => string,
  traits: readonly string[] = [],
): MessageTemplate {
  const pieces: (string | readonly string[])[] = [];
  let end = 0;
  for (const match of template.matchAll(placePattern)) {
    pieces.push(template.slice(end, match.index), (match[1] ?? '').split('.'));
    end = match.index + match[0].length;
  }
  pieces.push(template.slice(end));
  return (event) =>
    pieces.map((piece) => (typeof piece === 'string' ? piece : escapeText(fill(piece, event, traits)))).join('');
}

/** What to call the user: the first that there is. */
export function displayNameOf(event: EventObject): string {
  const traits = traitsOf(event);
  const full = [textOf(traits.firstName), textOf(traits.lastName)].filter((part) => part !== undefined).join(' ');
  const candidates = [traits.name, full, traits.username, traits.email, event.userId, event.anonymousId];
  for (const candidate of candidates) {
    const found = textOf(candidate);
    if (found !== undefined) return found;
  }
  return 'an unknown user';
}

function fill(path: readonly string[], event: EventObject, traits: readonly string[]): string {
  const [root = ''] = path;
  if (path.length === 1) {
    if (root === 'name') return displayNameOf(event);
    if (root === 'traitsList') return listOf(traitsOf(event), traits);
    if (root === 'propertiesList') return listOf(propertiesOf(event), []);
  }
  const value = root === 'traits' ? valueAt(traitsOf(event), path.slice(1)) : valueAt(event, path);
  if (value === undefined || value === null) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** `only` empty: all of them. */
function listOf(fields: EventObject, only: readonly string[]): string {
  const shown = Object.entries(fields).filter(([key]) => only.length === 0 || only.includes(key));
  return shown
    .map(([key, value]) => `${key}: ${isObject(value) || Array.isArray(value) ? JSON.stringify(value) : value}`)
    .join(', ');
}
