// One source with more and more destinations, most of which filter every event: what a further destination costs the
// whole program, and that what is filtered costs neither a delivery nor a job.

import { arrivalCheck, orderCheck, waitUntilDrained } from './bench-program.ts';
import { figure, ratioOf } from './harness/figures.ts';
import { inTurns } from './harness/in-turns.ts';
import { count, counts, rounds, seconds } from './harness/options.ts';
import { cpuShares, readCpu } from './harness/process-cpu.ts';
import { type Check, defineScenario, type Measurement, type Run } from './harness/scenario.ts';
import { batchOf20, ProgramSite } from './program-site.ts';

const writeKey = 'wk-fanout';
/** The load generator sends none of these. */
const otherTypes = ['alias'];

const options = {
  rounds: rounds(),
  seconds: seconds(5),
  destinations: counts([1, 10, 50], 'destinations of the source', 1000),
  taking: count(1, 'how many of them take the events', 1000),
  connections: count(16, 'keep-alive connections', 1024),
};

interface Seen {
  accepted: number[];
  delivered: number[];
  micros: number[];
}

interface Result {
  seen: Map<number, Seen>;
  checks: Check[];
  settings: object;
}

type FanoutRun = Pick<Run<typeof options>, 'options' | 'cleanup' | 'productFlags' | 'profileFolder'>;

export const fanout = defineScenario({
  name: 'fanout',
  question: 'one source with more and more destinations that filter every event',
  rawLimit: 'the fewest destinations',
  peers: [],
  goalRows: [],
  options,
  quick: { rounds: 1, seconds: 3 },
  async measure(run): Promise<Measurement> {
    const { destinations, rounds: roundCount } = run.options;
    const result: Result = {
      seen: new Map(destinations.map((targets) => [targets, { accepted: [], delivered: [], micros: [] }])),
      checks: [],
      settings: {},
    };
    const measures = destinations.map((targets) => ({
      name: String(targets),
      run: () => measureTargets(run, targets, result),
    }));
    await inTurns(measures, {
      rounds: roundCount,
      onRound: (round, name) => run.say(`${name} destinations, round ${round} of ${roundCount}`),
    });
    return { ...summedUp(result.seen), checks: result.checks, settings: result.settings };
  },
});

/** A fresh program: what it compiled for one workspace must not be the next one's advantage. */
async function measureTargets(run: FanoutRun, targets: number, result: Result): Promise<number> {
  const { seconds: length, connections } = run.options;
  const taking = Math.min(run.options.taking, targets);
  const site = await ProgramSite.start(run, (url) => [
    {
      id: 'src-fanout',
      writeKey,
      destinations: Array.from({ length: targets }, (_, index) => ({
        id: `dst-${index}`,
        url: `${url}/d${index}`,
        ...(index < taking ? {} : { messageTypes: otherTypes }),
      })),
    },
  ]);
  result.settings = site.durability;
  const consumers = { processes: { sluice: site.program.pid }, families: {} };
  const before = readCpu(consumers);
  const answer = await site.load({
    writeKeys: [writeKey],
    requests: [batchOf20],
    seconds: length,
    connections,
    warmUpSeconds: 1,
  });
  const expected = answer.eventsTotal * taking;
  const reports = await site.arrivals(expected);
  const after = readCpu(consumers);
  await waitUntilDrained(site.program);
  const elapsedSeconds = (after.atMs - before.atMs) / 1000;
  const arrived = reports.reduce((sum, { events }) => sum + events, 0);
  const seen = result.seen.get(targets);
  seen?.accepted.push((answer.events / answer.elapsedMs) * 1000);
  seen?.delivered.push(arrived / elapsedSeconds);
  const cpuMs = (cpuShares(before, after).sluice ?? 0) * elapsedSeconds;
  const micros = (cpuMs * 1000) / Math.max(answer.eventsTotal, 1);
  seen?.micros.push(micros);
  const checks = [await site.ledger(), orderCheck(reports), arrivalCheck(expected, arrived)];
  result.checks.push(...checks.map((check) => ({ ...check, name: `${targets} destinations: ${check.name}` })));
  await site.stop();
  return micros;
}

function summedUp(seen: ReadonlyMap<number, Seen>): Pick<Measurement, 'figures' | 'ratios' | 'series' | 'goals'> {
  const [fewest] = [...seen.keys()];
  const of = (targets: number, { delivered }: Seen) =>
    figure(
      `${targets} destinations: delivered`,
      'events/s',
      'higher',
      delivered,
      targets === fewest ? 'raw limit' : 'product',
    );
  const all = [...seen].map(([targets, one]) => ({ targets, one, delivered: of(targets, one) }));
  const base = all[0]?.delivered;
  return {
    figures: all.flatMap(({ targets, one, delivered }) => [
      figure(`${targets} destinations: accepted`, 'events/s', 'higher', one.accepted),
      delivered,
      figure(`${targets} destinations: CPU of the program per event`, 'µs', 'lower', one.micros),
    ]),
    ratios: base === undefined ? [] : all.slice(1).map(({ delivered }) => ratioOf(delivered, base)),
    series: [
      {
        plot: 'delivered by number of destinations',
        name: 'sluice',
        xUnit: 'destinations',
        yUnit: 'events/s',
        points: all.map(({ targets, delivered }) => [targets, delivered.rounds.at(-1) ?? 0] as const),
      },
    ],
    goals: [],
  };
}
