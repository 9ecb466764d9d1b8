// Many small tenants: what ten thousand of them cost when nothing happens (row E3), and when each sends an event now and
// then to a destination of its own.

import { openCluster, postmasterPid } from '../test/support/embedded-cluster.ts';
import { arrivalCheck, cpuConsumersOf, orderCheck, waitUntilDrained } from './bench-program.ts';
import { atMost, figure } from './harness/figures.ts';
import { namedLatency } from './harness/merge.ts';
import { count, rounds, seconds } from './harness/options.ts';
import { cpuShares, readCpu } from './harness/process-cpu.ts';
import { defineScenario, type Measurement, type Run } from './harness/scenario.ts';
import { LatencyHistogram } from './latency-histogram.ts';
import { residentMiB } from './program-memory.ts';
import { ProgramSite } from './program-site.ts';

const idleCpuMsMax = 10;
const idleQueriesMax = 2;
const idleMiBMax = 400;
const settleSeconds = 5;

const options = {
  rounds: rounds(),
  seconds: seconds(20, 'length of the traffic'),
  warmUpSeconds: {
    ...seconds(5),
    min: 0,
    doc: 'traffic before it counts: the first event of a tenant wakes its actors',
  },
  idleSeconds: seconds(20, 'length of the idle measurement'),
  tenants: count(10_000, 'sources, each with a destination', 100_000),
  perTenantPerMinute: count(60, 'events of each tenant per minute', 60_000),
  connections: count(512, 'keep-alive connections', 1024),
};

export const density = defineScenario({
  name: 'density',
  question: 'many small tenants, idle and at an event per second each',
  rawLimit: '',
  peers: [],
  goalRows: ['E3'],
  options,
  quick: { rounds: 1, seconds: 8, warmUpSeconds: 3, idleSeconds: 10 },
  async measure(run): Promise<Measurement> {
    const { tenants, perTenantPerMinute } = run.options;
    const keys = Array.from({ length: tenants }, (_, index) => `wk-${index}`);
    const site = await ProgramSite.start(run, (url) =>
      keys.map((writeKey, index) => ({
        id: `src-${index}`,
        writeKey,
        destinations: [{ id: `dst-${index}`, url: `${url}/` }],
      })),
    );
    const idle = await measureIdle(run, site);
    const offered = (tenants * perTenantPerMinute) / 60;
    const rates: number[] = [];
    const [accept, delivery] = [new LatencyHistogram(), new LatencyHistogram()];
    const reports: Awaited<ReturnType<ProgramSite['report']>>[] = [];
    let accepted = 0;
    let arrived = 0;
    for (let round = 1; round <= run.options.rounds; round += 1) {
      run.say(`${tenants} tenants, ${offered} events/s offered, round ${round} of ${run.options.rounds}`);
      const { seconds: length, warmUpSeconds, connections } = run.options;
      const answer = await site.load({
        writeKeys: keys,
        seconds: length,
        warmUpSeconds,
        connections,
        ratePerSecond: offered,
      });
      accept.add(answer.latencyCounts);
      accepted += answer.eventsTotal;
      rates.push((answer.events / answer.elapsedMs) * 1000);
      await waitUntilDrained(site.program);
      const report = await site.report();
      reports.push(report);
      arrived += report.events;
      delivery.add(report.latencyCounts);
    }
    const resident = residentMiB(site.program.pid) ?? 0;
    return {
      settings: { ...site.durability, offeredPerSecond: offered },
      figures: [
        ...idle.figures,
        figure(`accepted of ${offered} events/s over ${tenants} tenants`, 'events/s', 'higher', rates),
        figure('resident memory with traffic', 'MiB', 'lower', [resident]),
      ],
      latencies: [namedLatency('accept', accept), namedLatency('delivery', delivery)],
      events: accepted,
      goals: idle.goals,
      checks: [await site.ledger(), orderCheck(reports), arrivalCheck(accepted, arrived)],
    };
  },
});

/** Row E3: configured and left alone. */
async function measureIdle(
  { options: { idleSeconds, tenants }, say, cleanup }: Pick<Run<typeof options>, 'options' | 'say' | 'cleanup'>,
  { program }: ProgramSite,
) {
  say(`${tenants} tenants, idle for ${idleSeconds} s`);
  const postgres = openCluster(cleanup, program.dataDir);
  const transactions = async (): Promise<number> => {
    const { rows } = await postgres.query<{ done: string }>(
      'select (xact_commit + xact_rollback)::text as done from pg_stat_database where datname = current_database()',
    );
    return Number(rows[0]?.done);
  };
  // What a start leaves to do is not what idling costs.
  await new Promise((resolve) => setTimeout(resolve, settleSeconds * 1000));
  const { processes, families } = cpuConsumersOf(program, { sluice: program.pid });
  const whole = { processes, families };
  const [before, transactionsBefore] = [readCpu(whole), await transactions()];
  await new Promise((resolve) => setTimeout(resolve, idleSeconds * 1000));
  const shares = cpuShares(before, readCpu(whole));
  // Our own two questions are not the program's.
  const queries = ((await transactions()) - transactionsBefore - ownQuestions) / idleSeconds;
  const cpuMs = (shares.sluice ?? 0) + (shares.PostgreSQL ?? 0);
  const resident = residentMiB(program.pid) ?? 0;
  const hasProcesses = postmasterPid(program.dataDir) !== undefined;
  return {
    figures: [
      figure('idle: CPU of program and PostgreSQL', 'ms/s', 'lower', [cpuMs]),
      figure('idle: transactions', '1/s', 'lower', [Math.max(queries, 0)]),
      figure('idle: resident memory without PostgreSQL', 'MiB', 'lower', [resident]),
    ],
    goals: hasProcesses
      ? [
          atMost('E3', `idle with ${tenants} tenants: CPU`, idleCpuMsMax, [cpuMs], 'ms/s'),
          atMost('E3', `idle with ${tenants} tenants: transactions`, idleQueriesMax, [Math.max(queries, 0)], '1/s'),
          atMost('E3', `idle with ${tenants} tenants: resident memory`, idleMiBMax, [resident], 'MiB'),
        ]
      : [],
  };
}

const ownQuestions = 2;
