// A destination that takes nothing for a while: how fast the jobs that waited for it are delivered when it is back,
// beside the same events delivered as they come, and what waiting costs in memory. The storage scenario measures the
// drain without HTTP (row S3).

import { pollUntil } from '../test/support/poll.ts';
import { queuesOf } from '../test/support/status.ts';
import { arrivalCheck, orderCheck, waitUntilDrained } from './bench-program.ts';
import { figure, ratioOf } from './harness/figures.ts';
import { count, rounds } from './harness/options.ts';
import { type Check, defineScenario, type Measurement } from './harness/scenario.ts';
import { residentMiB } from './program-memory.ts';
import { batchOf20, ProgramSite } from './program-site.ts';
import type { SinkReport } from './sink.ts';

const writeKey = 'wk-backlog';
const destinationId = 'dst-backlog';
const storedMs = 300_000;
const loadSecondsMax = 600;

interface Result {
  live: number[];
  drain: number[];
  memory: number[];
  accepted: number;
  reports: SinkReport[];
}

export const backlog = defineScenario({
  name: 'backlog',
  question: 'how fast the jobs that waited for a destination are delivered when it is back',
  rawLimit: 'the same events delivered as they come',
  peers: [],
  goalRows: [],
  options: {
    rounds: rounds(),
    jobs: count(100_000, 'events that wait, and events that do not', 10_000_000),
    connections: count(16, 'keep-alive connections', 1024),
  },
  quick: { rounds: 1, jobs: 20_000 },
  async measure(run): Promise<Measurement> {
    const { options, say } = run;
    const site = await ProgramSite.start(run, (url) => [
      { id: 'src-backlog', writeKey, destinations: [{ id: destinationId, url: `${url}/` }] },
    ]);
    const result: Result = { live: [], drain: [], memory: [], accepted: 0, reports: [] };
    // A cold program compiles: the first of the two would pay for both.
    await deliverLive(site, { ...options, jobs: Math.ceil(options.jobs / 4) }, result);
    for (let round = 1; round <= options.rounds; round += 1) {
      const measures = [
        async (): Promise<void> => {
          say(`round ${round} of ${options.rounds}: ${options.jobs} events as they come`);
          result.live.push(await deliverLive(site, options, result));
        },
        async (): Promise<void> => {
          say(`round ${round} of ${options.rounds}: ${options.jobs} events that wait`);
          result.drain.push(await deliverBacklog(site, options, result));
        },
      ];
      for (const measure of round % 2 === 1 ? measures : measures.toReversed()) await measure();
    }
    return {
      ...summedUp(result, options.jobs),
      events: result.accepted,
      settings: site.durability,
      checks: await checksOf(site, result),
    };
  },
});

interface Chosen {
  jobs: number;
  connections: number;
}

/** Events per second from the first request to the last delivery. */
async function deliverLive(site: ProgramSite, options: Chosen, result: Result): Promise<number> {
  const beganAt = performance.now();
  const accepted = await accept(site, options, result);
  return deliveredRate(site, accepted, beganAt, result);
}

/** Events per second from the moment the destination is back to the last delivery. */
async function deliverBacklog(site: ProgramSite, options: Chosen, result: Result): Promise<number> {
  await control(site, 'pause');
  const accepted = await accept(site, options, result);
  const isStored = async (): Promise<true | undefined> => {
    const queues = queuesOf(await site.program.json('/status'));
    return queues.every(({ queue, pending }) => pending === (queue === 'rt' ? accepted : 0)) ? true : undefined;
  };
  await pollUntil(`${accepted} jobs to wait`, isStored, storedMs);
  result.memory.push(residentMiB(site.program.pid) ?? 0);
  const beganAt = performance.now();
  await control(site, 'resume');
  return deliveredRate(site, accepted, beganAt, result);
}

async function accept(site: ProgramSite, { jobs, connections }: Chosen, result: Result): Promise<number> {
  const requestsMax = Math.ceil(jobs / batchOf20.eventsPerRequest);
  const load = { writeKeys: [writeKey], requests: [batchOf20], seconds: loadSecondsMax, requestsMax, connections };
  const { eventsTotal } = await site.load(load);
  result.accepted += eventsTotal;
  return eventsTotal;
}

async function deliveredRate(
  site: ProgramSite,
  events: number,
  beganAt: number,
  { reports }: Pick<Result, 'reports'>,
): Promise<number> {
  reports.push(...(await site.arrivals(events)));
  const perSecond = (events / (performance.now() - beganAt)) * 1000;
  await waitUntilDrained(site.program);
  return perSecond;
}

async function control({ program }: ProgramSite, what: 'pause' | 'resume'): Promise<void> {
  const response = await fetch(`${program.adminUrl}/destinations/${destinationId}/${what}`, { method: 'POST' });
  const answer = await response.text();
  if (!response.ok) throw new Error(`expected ${what} to be answered 200, got ${response.status}: ${answer}`);
}

function summedUp({ live, drain, memory }: Result, jobs: number): Pick<Measurement, 'figures' | 'ratios' | 'goals'> {
  const product = figure(`${jobs} events that waited`, 'events/s', 'higher', drain);
  const limit = figure(`${jobs} events as they come`, 'events/s', 'higher', live, 'raw limit');
  return {
    figures: [product, limit, figure('resident memory while they wait', 'MiB', 'lower', memory)],
    ratios: [ratioOf(product, limit)],
    goals: [],
  };
}

async function checksOf(site: ProgramSite, { accepted, reports }: Result): Promise<Check[]> {
  const arrived = reports.reduce((sum, { events }) => sum + events, 0);
  return [await site.ledger(), orderCheck(reports), arrivalCheck(accepted, arrived)];
}
