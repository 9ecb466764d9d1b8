// Settings of the router: its partition key, concurrency, deadlines and retries.

import { boolean, choice, integer, list, text } from '../../runtime/index.ts';

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
  bytesInFlightMax: integer({
    default: 64 * 1024 * 1024,
    min: 1,
    max: 17_179_869_184,
    doc: 'Bytes of bodies on their way to one destination at once; one request always goes',
  }),
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
  jobRunRetryWindowMs: integer({
    default: 60_000,
    min: 0,
    max: 2_592_000_000,
    doc: 'retryWindowMs of jobs that belong to a run of reverse ETL, which is waited for',
  }),
  jobAgeMsMax: integer({
    default: 30 * 86_400_000,
    min: 0,
    max: 31_536_000_000,
    doc: 'A pending job older than this since its event was received is given up unsent (`job expired`); 0: never',
  }),
  unordered: list({
    default: [],
    of: 'destination ids, workspace ids or destination types',
    isGood: (entry) => entry !== '',
    doc: 'Where events of one user may overtake each other; all others keep order. `config.delivery.ordered` of a destination wins',
  }),
  orderJobsPerUserMax: integer({
    default: 0,
    min: 0,
    max: 1_000_000,
    doc: 'Jobs of one user that may wait for each other at one destination; beyond, their order is given up for orderSuspendedMs. 0: never given up',
  }),
  orderSuspendedMs: integer({
    default: 20 * 60_000,
    min: 1,
    max: 86_400_000,
    doc: 'How long the order of a user with too many jobs is given up',
  }),
  orderHalfEnabledMs: integer({
    default: 10 * 60_000,
    min: 0,
    max: 86_400_000,
    doc: 'How long after that the user counts as half-enabled: in order again, with older jobs perhaps on their way',
  }),
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
