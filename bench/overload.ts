// Three times what the program can take (promise P7): does it still take what it can, is everybody else told to come
// later, and fast, does memory stay bounded, and is everything as before when it is over?

import { waitUntilDrained } from './bench-program.ts';
import { atLeast, atMost, figure, ratioOf } from './harness/figures.ts';
import { namedLatency } from './harness/merge.ts';
import { count, rounds, seconds } from './harness/options.ts';
import { defineScenario, type Measurement } from './harness/scenario.ts';
import { LatencyHistogram } from './latency-histogram.ts';
import type { LoadResult } from './load-generator.ts';
import { residentMiB } from './program-memory.ts';
import { batchOf20, ProgramSite } from './program-site.ts';

const writeKey = 'wk-overload';
const goodputShareMin = 0.9;
const acceptedP99MsMax = 1000;
const residentMiBMax = 600;
/** Overload is told by these alone. */
const laterStatuses = new Set(['429', '503']);

export const overload = defineScenario({
  name: 'overload',
  question: 'three times the capacity offered: goodput, honest refusals, bounded memory, recovery',
  rawLimit: 'the highest rate of a closed loop in the same round',
  peers: [],
  goalRows: ['P7'],
  options: {
    rounds: rounds(),
    seconds: seconds(10),
    times: count(3, 'offered rate against the capacity', 100),
    connections: count(512, 'keep-alive connections', 1024),
    inFlightMax: count(128, 'gateway.requestsInFlightMax: the default is more than one load generator can open'),
  },
  quick: { rounds: 1, seconds: 4 },
  async measure(run): Promise<Measurement> {
    const { options, say } = run;
    const productFlags = [`--gateway.requestsInFlightMax=${options.inFlightMax}`, ...run.productFlags];
    const site = await ProgramSite.start({ ...run, productFlags }, () => [
      { id: 'src-overload', writeKey, destinations: [] },
    ]);
    // A cold program compiles: that is not its capacity.
    await site.load({ ...loadOf(options), connections: Math.min(options.connections, options.inFlightMax) });
    const seen: Round[] = [];
    for (let round = 1; round <= options.rounds; round += 1) {
      seen.push(await measureRound(site, options, (text) => say(`round ${round} of ${options.rounds}: ${text}`)));
    }
    const checks = [await site.ledger(), refusalCheck(seen.map(({ over }) => over))];
    return { settings: site.durability, ...summedUp(seen, options.times), checks };
  },
});

interface Chosen {
  seconds: number;
  times: number;
  connections: number;
  inFlightMax: number;
}

interface Round {
  capacity: number;
  calmP99: number;
  over: LoadResult;
  residentMiB: number;
  afterP99: number;
}

function loadOf({ seconds: length }: Chosen) {
  return { writeKeys: [writeKey], requests: [batchOf20], seconds: length, warmUpSeconds: 1 };
}

async function measureRound(site: ProgramSite, options: Chosen, say: (text: string) => void): Promise<Round> {
  const { times, connections, inFlightMax } = options;
  const load = loadOf(options);
  say('capacity');
  // As many connections as there is room for: the capacity, and nobody refused.
  const highest = await site.load({ ...load, connections: Math.min(connections, inFlightMax) });
  await waitUntilDrained(site.program);
  const perSecond = (highest.requests / highest.elapsedMs) * 1000;
  const calmly = async (): Promise<number> =>
    p99Of((await site.load({ ...load, ratePerSecond: perSecond / 4 })).latencyCounts);
  const calmP99 = await calmly();
  say(`${times} times ${Math.round(perSecond)} requests/s`);
  const over = await site.load({ ...load, ratePerSecond: perSecond * times, connections, dropsLate: true });
  const resident = residentMiB(site.program.pid) ?? 0;
  await waitUntilDrained(site.program);
  return { capacity: eventRate(highest), calmP99, over, residentMiB: resident, afterP99: await calmly() };
}

function summedUp(seen: readonly Round[], times: number) {
  const of = (value: (round: Round) => number): number[] => seen.map(value);
  const limit = figure(
    'capacity',
    'events/s',
    'higher',
    of(({ capacity }) => capacity),
    'raw limit',
  );
  const goodput = of(({ over }) => eventRate(over));
  const product = figure(`accepted at ${times} times the capacity`, 'events/s', 'higher', goodput);
  const share = ratioOf(product, limit);
  const before = figure(
    'p99 at a quarter, before',
    'ms',
    'lower',
    of(({ calmP99 }) => calmP99),
  );
  const recovered = figure(
    'p99 at a quarter, after',
    'ms',
    'lower',
    of(({ afterP99 }) => afterP99),
  );
  const memory = of((round) => round.residentMiB);
  const offered = of(({ over }) => eventRate(over) + refusedRate(over));
  return {
    figures: [
      limit,
      product,
      figure('offered, as far as connections were free', 'events/s', 'neither', offered, 'fact'),
      before,
      recovered,
      figure('resident memory', 'MiB', 'lower', memory),
    ],
    ratios: [share, ratioOf(recovered, before)],
    latencies: latenciesOf(seen.map(({ over }) => over)),
    goals: [
      atLeast('P7', 'accepted under overload: share of the capacity', goodputShareMin, share.rounds),
      atMost(
        'P7',
        'p99 of what is accepted under overload',
        acceptedP99MsMax,
        of(({ over }) => p99Of(over.latencyCounts)),
        'ms',
      ),
      atMost('P7', 'resident memory under overload', residentMiBMax, memory, 'MiB'),
    ],
  };
}

function eventRate({ events, elapsedMs }: LoadResult): number {
  return (events / elapsedMs) * 1000;
}

function refusedRate({ refusedLatencyCounts, elapsedMs }: LoadResult): number {
  const requests = new LatencyHistogram(refusedLatencyCounts).count;
  return ((requests * batchOf20.eventsPerRequest) / elapsedMs) * 1000;
}

function p99Of(counts: readonly number[]): number {
  return new LatencyHistogram(counts).percentileMs(0.99);
}

function refusalCheck(results: readonly LoadResult[]) {
  const faults = results.flatMap(({ refused, withoutRetryAfter }) => [
    ...Object.entries(refused)
      .filter(([status]) => !laterStatuses.has(status))
      .map(([status, requests]) => `${requests} requests were answered ${status}`),
    ...(withoutRetryAfter === 0 ? [] : [`${withoutRetryAfter} refusals came without Retry-After`]),
  ]);
  return { name: 'refused by 429 or 503 with Retry-After only', faults };
}

function latenciesOf(results: readonly LoadResult[]) {
  const [accepted, refused] = [new LatencyHistogram(), new LatencyHistogram()];
  for (const { latencyCounts, refusedLatencyCounts } of results) {
    accepted.add(latencyCounts);
    refused.add(refusedLatencyCounts);
  }
  const told = namedLatency('overload: refused', refused);
  const taken = namedLatency('overload: accepted', accepted);
  return refused.count === 0 ? [taken] : [taken, told];
}
