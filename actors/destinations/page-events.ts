// Names for pages and screens, for vendors that know only events: "Viewed Home Page". Which are sent at all may be
// chosen by whether they have a name or a category.

import type { EventObject } from './destination.ts';
import { pageNameOf, textAt, textOf } from './event-fields.ts';
import { flag } from './settings.ts';

export const pageSettings = {
  trackAllPages: flag('send every page and screen; the default while none of the three is set'),
  trackNamedPages: flag('send those with a name'),
  trackCategorizedPages: flag('send those with a category'),
} as const;

interface PageChoice {
  readonly trackAllPages: boolean;
  readonly trackNamedPages: boolean;
  readonly trackCategorizedPages: boolean;
}

/** Undefined: it is not to be sent. `type`: page or screen. */
export function pageEventName(event: EventObject, type: string, choice: PageChoice): string | undefined {
  const name = pageNameOf(event);
  const category = textOf(event.category) ?? textAt(event, 'properties.category');
  const { trackAllPages, trackNamedPages, trackCategorizedPages } = choice;
  const isWanted =
    trackAllPages ||
    (!trackNamedPages && !trackCategorizedPages) ||
    (trackNamedPages && name !== undefined) ||
    (trackCategorizedPages && category !== undefined);
  if (!isWanted) return undefined;
  const kind = type === 'screen' ? 'Screen' : 'Page';
  const words = [category, name].filter((word) => word !== undefined);
  return words.length === 0 ? `Loaded a ${kind}` : `Viewed ${words.join(' ')} ${kind}`;
}
