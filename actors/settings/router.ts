// Settings of the router: its partition key, concurrency, deadlines and retries.

import { boolean, choice, integer, text } from '../../runtime/index.ts';

export const routerSettings = {
  isolation: choice(['none', 'workspace', 'destination'], {
    default: 'destination',
    doc: 'Partition key of the router. A start with another value is refused while jobs are pending: order per user is kept within a partition',
  }),
  shards: text({
    default: '',
    doc: 'The same as processor.shards for the partitions of the router: destination-1=4. Shards divide requestsInFlightMax among them',
  }),
  slots: integer({ default: 1_000, min: 1, max: 100_000, doc: 'Jobs one partition may hold at once' }),
  requestsInFlightMax: integer({ default: 64, min: 1, max: 10_000, doc: 'Concurrent requests to one destination' }),
  httpTimeoutMs: integer({ default: 10_000, min: 10, max: 600_000, doc: 'Longest single delivery request' }),
  retryBackoffMsMin: integer({
    default: 10_000,
    min: 1,
    max: 86_400_000,
    doc: 'First retry delay; doubles, with full jitter',
  }),
  retryBackoffMsMax: integer({ default: 300_000, min: 1, max: 86_400_000, doc: 'Longest retry delay' }),
  retryWindowMs: integer({
    default: 180 * 60_000,
    min: 0,
    max: 2_592_000_000,
    doc: 'A job is given up when it is older than this since its first attempt and has had attemptsMax attempts',
  }),
  attemptsMax: integer({ default: 3, min: 1, max: 1_000_000, doc: 'See retryWindowMs: both must be exceeded' }),
  idleMs: integer({
    default: 60_000,
    min: 100,
    max: 86_400_000,
    doc: 'Idle time before a partition actor is put away',
  }),
  breakerFailures: integer({
    default: 20,
    min: 0,
    max: 1_000_000,
    doc: 'Failures in a row (no answer, 408, 5xx) after which a destination counts as down: one probe at a time until it answers. 0: never',
  }),
  breakerProbeMsMax: integer({
    default: 60_000,
    min: 1_000,
    max: 3_600_000,
    doc: 'Longest interval between probes of a destination that is down; the first is 1 s, each one twice the last',
  }),
  throttleLimit: integer({
    default: 0,
    min: 0,
    max: 1_000_000_000,
    doc: "Jobs sent to one destination per `throttleWindowMs`; 0: no limit. A destination's own `config.throttle` wins: `{limit, timeWindowMs, adaptive, minLimit, perEventType}`",
  }),
  throttleWindowMs: integer({ default: 1_000, min: 1, max: 86_400_000, doc: 'Window of `throttleLimit`' }),
  throttleAdaptive: boolean({
    default: false,
    doc: 'The limit falls when more than 10 % of the answers are 429, and rises again when none is',
  }),
  throttleLimitMin: integer({
    default: 1,
    min: 1,
    max: 1_000_000_000,
    doc: 'An adaptive limit does not fall below this',
  }),
  throttlePerEventType: boolean({ default: false, doc: 'Each event type of a destination has a limit of its own' }),
  throttleCosts: boolean({
    default: false,
    doc: "A job counts as what its destination's definition says (`throttlingCost.eventType`), not as one",
  }),
};
