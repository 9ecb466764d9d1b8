// From settings and a destination's own configuration to its throttle. `config.throttle` of the destination wins over
// the settings field by field: { "limit": 100, "timeWindowMs": 1000, "adaptive": true, "minLimit": 1,
// "perEventType": false }. Costs come from its definition, `throttlingCost.eventType` (spec/delivery.md 1.11).

import type { Settings } from '../config.ts';
import type { DestinationConfig } from '../services/workspace.ts';
import { booleanOf, numberOf, recordOf } from './config-values.ts';
import type { ThrottlePolicy } from './throttle.ts';

/** `shares`: how many actors send to this destination; each gets its part of the limit. */
export function throttlePolicyOf(
  { router }: Settings,
  destination: DestinationConfig | undefined,
  shares: number,
): ThrottlePolicy {
  const own = recordOf(destination?.config.throttle);
  const limit = numberOf(own.limit, router.throttleLimit, 0);
  return {
    limit: limit === 0 ? 0 : Math.max(1, limit / shares),
    windowMs: numberOf(own.timeWindowMs, router.throttleWindowMs, 1),
    adaptive: booleanOf(own.adaptive, router.throttleAdaptive),
    limitMin: Math.max(1, numberOf(own.minLimit, router.throttleLimitMin, 1) / shares),
    perEventType: booleanOf(own.perEventType, router.throttlePerEventType),
    costs: router.throttleCosts ? costsOf(destination) : {},
  };
}

function costsOf(destination: DestinationConfig | undefined): Record<string, number> {
  const { eventType } = recordOf(destination?.destinationDefinition.config.throttlingCost);
  const costs: Record<string, number> = {};
  for (const [type, cost] of Object.entries(recordOf(eventType))) {
    if (typeof cost === 'number' && cost > 0 && Number.isFinite(cost)) costs[type] = cost;
  }
  return costs;
}
