// Every destination type there is, by the name of its definition. A type nobody wrote is not an error of the program:
// its events are aborted with a reason, so that they are counted and can be replayed once it exists.

import type { DestinationConfig, SourceConfig } from '../services/workspace.ts';
import { isRemoteType, noTransformer, type TransformerChoice, untransformedRequest } from '../transformer/contract.ts';
import { amplitude } from './amplitude.ts';
import { customerio } from './customerio.ts';
import { abort, type BatchRules, type CompiledDestination, type DestinationType, deliver } from './destination.ts';
import { discord } from './discord.ts';
import { eventbridge } from './eventbridge.ts';
import { firehose } from './firehose.ts';
import { ga4 } from './ga4.ts';
import { http } from './http.ts';
import { kafka } from './kafka.ts';
import { kinesis } from './kinesis.ts';
import { lambda } from './lambda.ts';
import { mixpanel } from './mixpanel.ts';
import { objectStores } from './object-storage.ts';
import { posthog } from './posthog.ts';
import { pubsub } from './pubsub.ts';
import { redis } from './redis.ts';
import { segment } from './segment.ts';
import { missingSender } from './senders.ts';
import { slack } from './slack.ts';
import { warehouses } from './warehouse/warehouse.ts';
import { webhook } from './webhook.ts';

/** In the order of the documentation. */
export const destinationTypes: readonly DestinationType[] = [
  webhook,
  http,
  segment,
  amplitude,
  mixpanel,
  posthog,
  ga4,
  customerio,
  slack,
  discord,
  kafka,
  kinesis,
  firehose,
  eventbridge,
  lambda,
  pubsub,
  redis,
  ...objectStores,
  ...warehouses,
];

const types: ReadonlyMap<string, DestinationType> = new Map(destinationTypes.map((type) => [type.name, type]));
const unknownTypeCode = 404;
/** The event goes on as it is: the transformer makes its requests when it is delivered. */
const untransformed = deliver(untransformedRequest, 'event');
const remote: CompiledDestination = { transform: () => untransformed };

/** `transformer`: may have a type that we have not, or be chosen for one that we have. */
export function compileDestination(
  destination: DestinationConfig,
  transformer: TransformerChoice = noTransformer,
): CompiledDestination {
  const { name } = destination.destinationDefinition;
  const type = types.get(name.toUpperCase());
  if (isRemoteType(transformer, name, type !== undefined)) return remote;
  if (type === undefined) return refused(`destination type ${name} is not known`);
  const missing = missingSender(type);
  return missing === undefined ? type.compile(destination) : refused(missing);
}

/** Absent: its events go one by one. */
export function batchRulesOf(destination: DestinationConfig): BatchRules | undefined {
  return types.get(destination.destinationDefinition.name.toUpperCase())?.batch;
}

/** Enabled destinations that can only abort, and why. They are no fault of the file: the others must go on. */
export function refusedDestinations(
  { destinations }: SourceConfig,
  transformer: TransformerChoice = noTransformer,
): { destinationId: string; problem: string }[] {
  return destinations.flatMap((destination) => {
    if (!destination.enabled) return [];
    const { problem } = compileDestination(destination, transformer);
    return problem === undefined ? [] : [{ destinationId: destination.id, problem }];
  });
}

/** For metrics: the type's name, or one word for all that are not known, so that labels stay bounded. */
export function destinationTypeLabel(destination: DestinationConfig | undefined): string {
  const name = destination?.destinationDefinition.name.toUpperCase() ?? '';
  return types.has(name) ? name : 'unknown';
}

/** The operator is told what there is instead, the event only what it ran into. */
function refused(reason: string): CompiledDestination {
  const supported = destinationTypes.filter((type) => missingSender(type) === undefined).map(({ name }) => name);
  const problem = `${reason}; supported are ${supported.join(', ')}`;
  return { problem, transform: () => abort(reason, unknownTypeCode) };
}
