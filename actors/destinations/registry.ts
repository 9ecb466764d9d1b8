// Every destination type there is, by the name of its definition. A type nobody wrote is not an error of the program:
// its events are aborted with a reason, so that they are counted and can be replayed once it exists.

import type { DestinationConfig, SourceConfig } from '../services/workspace.ts';
import type { CompiledDestination, DestinationType } from './destination.ts';
import { webhook } from './webhook.ts';

const types: ReadonlyMap<string, DestinationType> = new Map([webhook].map((type) => [type.name, type]));
const unknownTypeCode = 404;

export function compileDestination(destination: DestinationConfig): CompiledDestination {
  const { name } = destination.destinationDefinition;
  const type = types.get(name.toUpperCase());
  if (type !== undefined) return type.compile(destination);
  const reason = `destination type ${name} is not known`;
  return { problem: reason, transform: () => ({ kind: 'aborted', code: unknownTypeCode, reason }) };
}

/** Enabled destinations that can only abort. They are no fault of the file: the others must go on. */
export function destinationProblems(sources: readonly SourceConfig[]): string[] {
  const problems = new Set<string>();
  for (const destination of sources.flatMap((source) => source.destinations)) {
    if (!destination.enabled) continue;
    const { problem } = compileDestination(destination);
    if (problem !== undefined)
      problems.add(`every event for destination ${destination.id} will be aborted: ${problem}`);
  }
  return [...problems];
}

/** For metrics: the type's name, or one word for all that are not known, so that labels stay bounded. */
export function destinationTypeLabel(destination: DestinationConfig | undefined): string {
  const name = destination?.destinationDefinition.name.toUpperCase() ?? '';
  return types.has(name) ? name : 'unknown';
}
