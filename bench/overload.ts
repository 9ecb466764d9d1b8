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
const goodputShareMin = 0.8;
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
  async measure(run): Promise<Measurement> {
    const { options, say } = run;
    const productFlags = [`--gateway.requestsInFlightMax=${options.inFlightMax}`, ...run.productFlags];
    const site = await ProgramSite.start({ ...run, productFlags }, () => [
      { id: 'src-overload', writeKey, destinations: [] },
    ]);
    const load = { writeKeys: [writeKey], requests: [batchOf20], seconds: options.seconds, warmUpSeconds: 1 };
    const { connections } = options;
    const [capacity, goodput, memory]: [number[], number[], number[]] = [[], [], []];
    const [calm, after]: [number[], number[]] = [[], []];
    const over: LoadResult[] = [];
    const calmly = async (rate: number): Promise<number> => {
      const answer = await site.load({ ...load, ratePerSecond: rate });
      return new LatencyHistogram(answer.latencyCounts).percentileMs(0.99);
    };
    for (let round = 1; round <= options.rounds; round += 1) {
      say(`round ${round} of ${options.rounds}: capacity`);
      // As many connections as there is room for: the capacity, and nobody refused.
      const highest = await site.load({ ...load, connections: Math.min(connections, options.inFlightMax) });
      await waitUntilDrained(site.program);
      const perSecond = (highest.requests / highest.elapsedMs) * 1000;
      calm.push(await calmly(perSecond / 4));
      say(`round ${round} of ${options.rounds}: ${options.times} times ${Math.round(perSecond)} requests/s`);
      const ratePerSecond = perSecond * options.times;
      const answer = await site.load({ ...load, ratePerSecond, connections });
      memory.push(residentMiB(site.program.pid) ?? 0);
      await waitUntilDrained(site.program);
      after.push(await calmly(perSecond / 4));
      over.push(answer);
      capacity.push((highest.events / highest.elapsedMs) * 1000);
      goodput.push((answer.events / answer.elapsedMs) * 1000);
    }
    const limit = figure('capacity', 'events/s', 'higher', capacity, 'raw limit');
    const product = figure(`accepted at ${options.times} times the capacity`, 'events/s', 'higher', goodput);
    const ratio = ratioOf(product, limit);
    const [before, recovered] = [
      figure('p99 at a quarter, before', 'ms', 'lower', calm),
      figure('p99 at a quarter, after', 'ms', 'lower', after),
    ];
    const checks = [await site.ledger(), refusalCheck(over)];
    return {
      settings: site.durability,
      figures: [limit, product, before, recovered, figure('resident memory', 'MiB', 'lower', memory)],
      ratios: [ratio, ratioOf(recovered, before)],
      latencies: latenciesOf(over),
      goals: [
        atLeast('P7', 'accepted under overload: share of the capacity', goodputShareMin, ratio.rounds),
        atMost('P7', 'resident memory under overload', residentMiBMax, memory, 'MiB'),
      ],
      checks,
    };
  },
});

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
  const told = namedLatency('overload: refused, from when it fell due', refused);
  const taken = namedLatency('overload: accepted, from when it fell due', accepted);
  return refused.count === 0 ? [taken] : [taken, told];
}
