// Settings of what the processor adds to events: where they came from, what sent them, and operators' own enrichers.

import { boolean, choice, text } from '../../runtime/index.ts';

export const enrichmentSettings = {
  geoFile: text({
    default: '',
    doc: "A MaxMind city database (.mmdb), read at the start: events get `context.geo` by their client's address. Empty: none",
  }),
  geoSources: choice(['chosen', 'all'], {
    default: 'chosen',
    doc: 'chosen: only events of sources with `geoEnrichment.enabled`',
  }),
  bots: choice(['off', 'flag', 'drop'], {
    default: 'off',
    doc: 'What is done about events whose user agent is a known bot: flag sets `context.isBot` and `context.bot`, drop filters them. What internal requests have marked is obeyed in any case',
  }),
  userAgent: boolean({
    default: false,
    doc: 'Fills `context.os`, `context.device` and `context.browser` from the user agent where the client has not',
  }),
  plugIns: text({
    default: '',
    doc: 'Modules of your own, by path and separated by commas, each exporting `createEnricher(source)`: it returns a function that changes an event at once, or undefined. Trusted code; what it throws is counted (`sluice_enricher_failures_total`) and costs no event',
  }),
};
