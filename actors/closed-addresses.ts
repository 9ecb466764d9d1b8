// Destinations whose address is written as a number in a network that deliveries may not reach: every one of their
// events would fail and be tried again until it is given up, and a warning at the start is cheaper. Names are judged
// when connections are made to them, and not here.

import { createEgressGuard } from '../transport/index.ts';
import type { SourceConfig } from './services/workspace.ts';

/** One sentence for each. `allow`: as in the settings, with what the program itself opens. */
export function closedAddressProblems(sources: readonly SourceConfig[], allow: readonly string[]): string[] {
  const guard = createEgressGuard({ allow });
  const told = new Set<string>();
  for (const { id, enabled, config } of sources.flatMap(({ destinations }) => destinations)) {
    if (!enabled) continue;
    for (const [key, value] of Object.entries(config)) {
      const refusal = typeof value === 'string' ? guard.refuses(hostOf(value)) : undefined;
      if (refusal !== undefined) told.add(`nothing can be delivered to destination ${id} (${key}): ${refusal.message}`);
    }
  }
  return [...told];
}

/** '' for what is no URL. */
function hostOf(value: string): string {
  return /^https?:\/\//i.test(value) && URL.canParse(value) ? new URL(value).hostname : '';
}
