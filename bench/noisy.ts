// One bad neighbour of each kind beside a good one (promise P4, row R4): what a slow, dead or failing destination, a
// flooding source or huge events do to the waiting of somebody else. Each kind has a fresh program, in turns with the
// quiet case: a neighbour that sends as much as the bad ones to a destination that answers at once, so that what is
// compared is the badness and not the load.

import type { SourceSpec } from '../test/support/workspace-file.ts';
import type { LoadRequest } from './bench-process.ts';
import { orderCheck } from './bench-program.ts';
import { atMost, type Figure, figure, type Goal, type Ratio, ratioOf } from './harness/figures.ts';
import { inTurns } from './harness/in-turns.ts';
import { namedLatency } from './harness/merge.ts';
import { count, names, rounds, seconds } from './harness/options.ts';
import { type Check, defineScenario, type Measurement, type NamedLatency, type Run } from './harness/scenario.ts';
import { LatencyHistogram } from './latency-histogram.ts';
import { batchOf20, ProgramSite } from './program-site.ts';

const timesMax = 1.1;
const goodKey = 'wk-good';
const goodPath = '/good';
const badKey = 'wk-bad';
/** A cold program compiles: that is nobody's neighbour. */
const settleSeconds = 3;
const backlogSecondsMax = 600;

interface Neighbour {
  /** Path of its destination at the sink. */
  path: string;
  /** What it sends while the good one is measured. */
  load?: Partial<LoadRequest>;
  /** What it has sent before. */
  hasBacklog?: boolean;
  /** Customers' code of its destination; the good one then has some as well, in the same threads. */
  code?: string;
}

const harmlessCode = `export function transformEvent(event) { event.seen = true; return event; }`;
/** Every way we know to take more than one's share, in turns. */
const hostileCode = `
  let turn = 0;
  export function transformEvent(event) {
    turn += 1;
    switch (turn % 7) {
      case 0: for (;;);
      case 1: { const kept = []; for (;;) kept.push(new Array(1000).fill(turn)); }
      case 2: return { ...event, text: 'x'.repeat(10000000) };
      case 3: Object.prototype.toJSON = () => 'mine'; Array.prototype[0] = event; return event;
      case 4: return { ...event, got: String(this.constructor.constructor('return process')().env) };
      case 5: return /^(a+)+$/.test('a'.repeat(40) + 'b') ? event : null;
      default: { let n = 7n; for (let i = 0; i < 22; i += 1) n *= n; return { ...event, n: n.toString().length }; }
    }
  }`;

const steady = { ratePerSecond: 100, connections: 16 };
const neighbours: Readonly<Record<string, Neighbour>> = {
  quiet: { path: '/ok', load: steady },
  slow: { path: '/slow/1000', load: steady },
  dead: { path: '/dead', load: steady },
  failing: { path: '/fail', load: steady },
  flooding: { path: '/ok', load: { requests: [batchOf20], connections: 16 } },
  huge: { path: '/ok', load: { ratePerSecond: 50, connections: 16, eventBytes: 200_000 } },
  backlog: { path: '/dead', hasBacklog: true },
  harmless: { path: '/ok', load: steady, code: harmlessCode },
  hostile: { path: '/ok', load: steady, code: hostileCode },
};
/** What a bad one is held against: the same load with nothing bad about it. */
const baselineOf = (name: string): string => (neighbours[name]?.code === undefined ? 'quiet' : 'harmless');
const bad = Object.keys(neighbours).filter((name) => baselineOf(name) !== name);

const options = {
  rounds: rounds(),
  seconds: seconds(10),
  ratePerSecond: count(200, 'events per second of the good neighbour'),
  backlogJobs: count(100_000, 'R4: pending jobs of the dead destination'),
  kinds: names(bad, 'kinds of bad neighbours'),
};

interface Seen {
  accept: LatencyHistogram;
  delivery: LatencyHistogram;
  acceptP99: number[];
  deliveryP99: number[];
}

interface Result {
  seen: Map<string, Seen>;
  checks: Check[];
  settings: object;
}

type NoisyRun = Pick<Run<typeof options>, 'options' | 'cleanup' | 'productFlags' | 'profileFolder' | 'say'>;

export const noisy = defineScenario({
  name: 'noisy',
  question: 'what a bad neighbour of each kind does to a good one',
  rawLimit: 'a neighbour with the same load and a good destination',
  peers: [],
  goalRows: ['P4', 'R4'],
  options,
  quick: { rounds: 1, seconds: 4, backlogJobs: 10_000 },
  async measure(run): Promise<Measurement> {
    const kinds = [...new Set([...run.options.kinds.map(baselineOf), ...run.options.kinds])];
    const fresh = (): Seen => ({
      accept: new LatencyHistogram(),
      delivery: new LatencyHistogram(),
      acceptP99: [],
      deliveryP99: [],
    });
    const result: Result = { seen: new Map(kinds.map((kind) => [kind, fresh()])), checks: [], settings: {} };
    const measures = kinds.map((kind) => ({ name: kind, run: () => measureBeside(run, kind, result) }));
    const { rounds: count } = run.options;
    await inTurns(measures, {
      rounds: count,
      onRound: (round, kind) => run.say(`${kind}, round ${round} of ${count}`),
    });
    return { ...compared(result.seen, run.options.kinds), checks: result.checks, settings: result.settings };
  },
});

/** Answers the p99 of delivery, for the turns; everything else goes into `result`. */
async function measureBeside(run: NoisyRun, kind: string, result: Result): Promise<number> {
  const neighbour = neighbours[kind];
  const seen = result.seen.get(kind);
  if (neighbour === undefined || seen === undefined) throw new Error(`expected ${kind} to be a neighbour`);
  const { options: chosen } = run;
  const site = await ProgramSite.start(run, (url) => [
    source('good', goodKey, url + goodPath, neighbour.code === undefined ? undefined : harmlessCode),
    source('bad', badKey, url + neighbour.path, neighbour.code),
  ]);
  result.settings = site.durability;
  if (neighbour.hasBacklog === true) await site.load(backlogLoad(chosen.backlogJobs));
  const badSeconds = chosen.seconds + 2 * settleSeconds;
  const beside =
    neighbour.load === undefined
      ? Promise.resolve()
      : site.load({ writeKeys: [badKey], seconds: badSeconds, ...neighbour.load });
  const good = { writeKeys: [goodKey], ratePerSecond: chosen.ratePerSecond };
  // Everything of the good one is waited for, before and after: what arrives late is what this is about.
  const settled = await site.load({ ...good, seconds: settleSeconds });
  const warmUp = await site.arrivals(settled.eventsTotal, goodPath);
  const answer = await site.load({ ...good, seconds: chosen.seconds });
  const reports = await site.arrivals(answer.eventsTotal, goodPath);
  await beside;
  const delivered = new LatencyHistogram();
  for (const { byPath } of reports) delivered.add(byPath[goodPath]?.latencyCounts ?? []);
  const accepted = new LatencyHistogram(answer.latencyCounts);
  seen.accept.add(accepted.counts);
  seen.delivery.add(delivered.counts);
  seen.acceptP99.push(accepted.percentileMs(0.99));
  seen.deliveryP99.push(delivered.percentileMs(0.99));
  const refused = Object.values(answer.refused).reduce((sum, requests) => sum + requests, 0);
  const faults = refused === 0 ? [] : [`${refused} requests of the good one were refused`];
  // What is tried again on purpose is no disorder; only the good one is looked at.
  const ofGood = (text: string): boolean => text.startsWith(`${goodPath} `);
  const ofGoodOne = [...warmUp, ...reports].map((one) => ({
    ...one,
    duplicates: 0,
    disorder: one.disorder.filter(ofGood),
  }));
  result.checks.push(
    ...[await site.ledger(), orderCheck(ofGoodOne), { name: 'the good one is never refused', faults }].map((check) => ({
      ...check,
      name: `${kind}: ${check.name}`,
    })),
  );
  await site.stop();
  return delivered.percentileMs(0.99);
}

function backlogLoad(jobs: number) {
  const requestsMax = Math.ceil(jobs / batchOf20.eventsPerRequest);
  return { writeKeys: [badKey], requests: [batchOf20], connections: 16, seconds: backlogSecondsMax, requestsMax };
}

function compared(seen: ReadonlyMap<string, Seen>, kinds: readonly string[]) {
  const figures: Figure[] = [];
  const ratios: Ratio[] = [];
  const goals: Goal[] = [];
  const latencies: NamedLatency[] = [];
  for (const what of ['accept', 'delivery'] as const) {
    const of = (kind: string): Figure => {
      const p99 = seen.get(kind)?.[what === 'accept' ? 'acceptP99' : 'deliveryP99'] ?? [];
      return figure(`${kind}: ${what} p99`, 'ms', 'lower', p99, kind === baselineOf(kind) ? 'raw limit' : 'product');
    };
    const baselines = new Map([...new Set(kinds.map(baselineOf))].map((kind) => [kind, of(kind)]));
    figures.push(...baselines.values());
    for (const kind of kinds) {
      const product = of(kind);
      const quiet = baselines.get(baselineOf(kind));
      if (quiet === undefined) continue;
      const ratio = ratioOf(product, quiet);
      figures.push(product);
      ratios.push(ratio);
      const row = kind === 'backlog' && what === 'delivery' ? 'R4' : 'P4';
      const against = `${kind} neighbour: ${what} p99 against ${baselineOf(kind)}`;
      goals.push(atMost(row, against, timesMax, ratio.rounds, '×'));
    }
  }
  for (const [kind, { accept, delivery }] of seen) {
    latencies.push(namedLatency(`${kind}: accept`, accept), namedLatency(`${kind}: delivery`, delivery));
  }
  return { figures, ratios, goals, latencies };
}

function source(id: string, writeKey: string, url: string, code?: string): SourceSpec {
  const destination = { id: `dst-${id}`, url };
  return { id: `src-${id}`, writeKey, destinations: [code === undefined ? destination : { ...destination, code }] };
}
