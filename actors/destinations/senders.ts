// Which destination types something in this program delivers to. A type that can be transformed but has no sender yet
// must not fill a queue that nobody empties: its destinations are refused when the configuration is loaded.

import type { DestinationType } from './destination.ts';

/**
 * Types delivered by other ways than an HTTP request. Who writes a sender adds its type here; jobs of those delivered by
 * `batch` belong into the queue `batch_rt`.
 */
const typesWithSender: ReadonlySet<string> = new Set([
  // actors/router/custom/custom-types.ts
  'REDIS',
  'KAFKA',
  'KINESIS',
  'FIREHOSE',
  'EVENTBRIDGE',
  'LAMBDA',
  'GOOGLEPUBSUB',
]);

/** Why nothing can be sent to destinations of this type; undefined when it can. */
export function missingSender(
  { name, deliveredBy }: Pick<DestinationType, 'name' | 'deliveredBy'>,
  senders: ReadonlySet<string> = typesWithSender,
): string | undefined {
  if (deliveredBy === 'http' || senders.has(name)) return undefined;
  return `this version has nothing that delivers to destinations of type ${name}`;
}
