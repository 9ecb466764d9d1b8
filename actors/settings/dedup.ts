// Settings of deduplication by message id.

import { boolean, integer } from '../../runtime/index.ts';

export const dedupSettings = {
  enabled: boolean({
    default: true,
    doc: "Events are dropped when their source has sent one with the same messageId within the window. A source's own `config.dedup` wins: true, false or `{enabled, windowMs}`",
  }),
  windowMs: integer({
    default: 3_600_000,
    min: 1_000,
    max: 604_800_000,
    doc: 'How long a messageId is remembered at least, by the time of receipt; a quarter longer at most',
  }),
  entriesMax: integer({
    default: 4_000_000,
    min: 1_000,
    max: 1_000_000_000,
    doc: 'Message ids one actor thread remembers, at 12 to 24 bytes each; beyond, the oldest are forgotten (`sluice_dedup_forgotten_total`)',
  }),
};
