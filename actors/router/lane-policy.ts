// What settings and a destination's own configuration say about delivering to it, worked out once for each version of
// the destination. `config` of the destination wins over the settings, field by field; a field that makes no sense does
// not count, because a delivery must not depend on a typing error in a limit.

import type { ConnectionOptions } from '../../transport/index.ts';
import type { Settings } from '../config.ts';
import type { DestinationConfig } from '../services/workspace.ts';
import { isRemoteType } from '../transformer/contract.ts';
import { type Batching, batchingOf } from './batching.ts';
import { booleanOf, numberOf, recordOf } from './config-values.ts';
import { type OrderingPolicy, strictOrdering } from './ordering.ts';
import { responseRuleTables } from './response-rule-tables.ts';
import { type RuleSet, readRules, ruleSetOf } from './response-rules.ts';
import type { RetryPolicy } from './retry.ts';
import { signingKeysOf } from './signature.ts';
import type { ThrottlePolicy } from './throttle.ts';
import { throttlePolicyOf } from './throttle-policy.ts';

export interface LanePolicy {
  /** The version it was made of; undefined: the destination is not configured. */
  readonly destination: DestinationConfig | undefined;
  readonly retry: RetryPolicy;
  /** Of jobs that belong to a run of reverse ETL. */
  readonly jobRunRetry: RetryPolicy;
  /** Jobs older than this are given up unsent; 0: none is. */
  readonly jobAgeMsMax: number;
  readonly ordering: OrderingPolicy;
  /** False: events of one user are sent without regard to each other. */
  readonly isOrdered: boolean;
  readonly throttle: ThrottlePolicy;
  /** Undefined: one request for each job. */
  readonly batch: Batching | undefined;
  readonly requestsInFlightMax: number;
  readonly bytesInFlightMax: number;
  /** Undefined: connections like everybody's. */
  readonly connection: ConnectionOptions | undefined;
  readonly signingKeys: readonly Buffer[];
  /** Undefined: the code of an answer decides. */
  readonly rules: RuleSet | undefined;
  /** What does not count in the destination's configuration, and why. */
  readonly problems: readonly string[];
}

/** `shares`: how many actors send to this destination; each gets its part of the limits. */
export function lanePolicyOf(
  settings: Settings,
  destination: DestinationConfig | undefined,
  shares: number,
): LanePolicy {
  const { router } = settings;
  const config = destination?.config ?? {};
  const own = recordOf(config.delivery);
  const retry = retryOf(settings, own, router.retryWindowMs);
  const type = destination?.destinationDefinition.name.toUpperCase() ?? '';
  const given = readRules(config.responseRules);
  const rules = [...given.rules, ...(responseRuleTables[type] ?? [])];
  const inFlight = numberOf(own.requestsInFlightMax, router.requestsInFlightMax, 1);
  return {
    destination,
    retry,
    jobRunRetry: retryOf(settings, own, Math.min(router.jobRunRetryWindowMs, retry.windowMs)),
    jobAgeMsMax: numberOf(own.jobAgeMsMax, router.jobAgeMsMax, 0),
    ordering: {
      ...strictOrdering,
      jobsPerKeyMax: router.orderJobsPerUserMax,
      suspendedMs: router.orderSuspendedMs,
      halfEnabledMs: router.orderHalfEnabledMs,
    },
    isOrdered: booleanOf(own.ordered, !isUnordered(router.unordered, destination)),
    throttle: throttlePolicyOf(settings, destination, shares),
    batch: batchingOf(destination, isRemotelySent(settings, destination)),
    requestsInFlightMax: Math.max(1, Math.floor(inFlight / shares)),
    bytesInFlightMax: Math.max(1, numberOf(own.bytesInFlightMax, router.bytesInFlightMax, 1) / shares),
    signingKeys: destination === undefined ? [] : signingKeysOf(destination),
    connection: connectionOf(own),
    rules: rules.length === 0 ? undefined : ruleSetOf(rules),
    problems: given.problems,
  };
}

/** The transformer makes its requests, puts them together, or sends them. */
function isRemotelySent({ transformer }: Settings, destination: DestinationConfig | undefined): boolean {
  if (transformer.url === '' || destination === undefined) return false;
  const type = destination.destinationDefinition.name.toUpperCase();
  if (isRemoteType(transformer, type, true)) return true;
  return [...transformer.proxyTypes, ...transformer.batchTypes].some((one) => one.toUpperCase() === type);
}

function connectionOf({
  connectionsMax,
  pipelining,
  http2,
  tls,
}: Record<string, unknown>): ConnectionOptions | undefined {
  const options: ConnectionOptions = {};
  if (isCount(connectionsMax)) options.connectionsMax = connectionsMax;
  if (isCount(pipelining)) options.pipelining = pipelining;
  if (typeof http2 === 'boolean') options.allowHttp2 = http2;
  const { ca, cert, key } = recordOf(tls);
  if (typeof ca === 'string') options.tls = { ca };
  if (typeof cert === 'string' && typeof key === 'string') options.tls = { ...options.tls, cert, key };
  return Object.keys(options).length === 0 ? undefined : options;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 1_000;
}

function retryOf({ router }: Settings, own: Record<string, unknown>, windowMs: number): RetryPolicy {
  const backoffMsMax = numberOf(own.retryBackoffMsMax, router.retryBackoffMsMax, 1);
  return {
    backoffMsMin: Math.min(numberOf(own.retryBackoffMsMin, router.retryBackoffMsMin, 1), backoffMsMax),
    backoffMsMax,
    windowMs: numberOf(own.retryWindowMs, windowMs, 0),
    attemptsMax: numberOf(own.attemptsMax, router.attemptsMax, 1),
  };
}

function isUnordered(unordered: readonly string[], destination: DestinationConfig | undefined): boolean {
  if (unordered.length === 0 || destination === undefined) return false;
  const { id, workspaceId, destinationDefinition } = destination;
  return unordered.some((entry) => entry === id || entry === workspaceId || entry === destinationDefinition.name);
}
