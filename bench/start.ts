// How long a start takes (row E4): from the command to the first delivered event, with a new data folder, where the
// embedded PostgreSQL is made first, and with one that is there.

import { join } from 'node:path';
import { CleanupList, temporaryFolder } from '../test/support/cleanup.ts';
import { pollUntil } from '../test/support/poll.ts';
import { type Program, startProgram } from '../test/support/program.ts';
import { writeWorkspace } from '../test/support/workspace-file.ts';
import { BenchProcess } from './bench-process.ts';
import { benchWriteKey, durabilityOf, ledgerCheck, waitUntilDrained } from './bench-program.ts';
import { atMost, figure } from './harness/figures.ts';
import { rounds } from './harness/options.ts';
import { type Check, defineScenario, type Measurement, type Run } from './harness/scenario.ts';
import type { SinkReport } from './sink.ts';

const existingSecondsMax = 1.5;
const newSecondsMax = 4;
const deliveredMs = 60_000;

interface Result {
  fresh: number[];
  existing: number[];
  checks: Check[];
  settings: object;
}

export const start = defineScenario({
  name: 'start',
  question: 'from the command to the first delivered event, with a data folder that is new or there',
  rawLimit: '',
  peers: [],
  goalRows: ['E4'],
  options: { rounds: rounds() },
  quick: { rounds: 2 },
  async measure(run): Promise<Measurement> {
    const result: Result = { fresh: [], existing: [], checks: [], settings: {} };
    for (let round = 1; round <= run.options.rounds; round += 1) {
      run.say(`round ${round} of ${run.options.rounds}`);
      const cleanup = new CleanupList();
      run.cleanup.after(() => cleanup.run());
      await measureRound({ ...run, cleanup }, result);
      await cleanup.run();
    }
    const { fresh, existing, checks, settings } = result;
    return {
      settings,
      figures: [
        figure('start with a new data folder to the first delivery', 's', 'lower', fresh),
        figure('start with a data folder to the first delivery', 's', 'lower', existing),
      ],
      goals: [
        atMost('E4', 'start to the first delivered event, data folder exists', existingSecondsMax, existing, 's'),
        atMost('E4', 'start to the first delivered event, new data folder', newSecondsMax, fresh, 's'),
      ],
      checks,
    };
  },
});

async function measureRound(
  { cleanup, productFlags }: Pick<Run, 'cleanup' | 'productFlags'>,
  result: Result,
): Promise<void> {
  const sink = new BenchProcess(cleanup, './sink');
  const { port } = await sink.next<{ port: number }>();
  const workspaceFile = join(await temporaryFolder(cleanup), 'workspaceConfig.json');
  const destinations = [{ id: 'dst-bench', url: `http://127.0.0.1:${port}/` }];
  writeWorkspace(workspaceFile, [{ id: 'src-bench', writeKey: benchWriteKey, destinations }]);
  const env = { SLUICE_LOG_LEVEL: 'warn' };
  let beganAt = performance.now();
  const first = await startProgram(cleanup, { workspaceFile, env, args: productFlags });
  await firstDelivery(first, sink);
  result.fresh.push((performance.now() - beganAt) / 1000);
  result.settings = await durabilityOf(first);
  await waitUntilDrained(first);
  await first.stop();
  beganAt = performance.now();
  const second = first.again();
  await firstDelivery(second, sink);
  result.existing.push((performance.now() - beganAt) / 1000);
  await waitUntilDrained(second);
  result.checks.push(await ledgerCheck(cleanup, second));
}

/** Sent again until it is taken, as a client would. */
async function firstDelivery(program: Program, sink: BenchProcess): Promise<void> {
  const send = async (): Promise<true | undefined> => {
    const response = await fetch(`${program.gatewayUrl}/v1/track`, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa(`${benchWriteKey}:`)}`, 'content-type': 'application/json' },
      body: JSON.stringify({ userId: 'first', event: 'Started' }),
    });
    await response.arrayBuffer();
    return response.status === 200 ? true : undefined;
  };
  await pollUntil('an event to be accepted', send, deliveredMs);
  const isThere = async (): Promise<true | undefined> =>
    (await sink.ask<SinkReport>('report')).requests > 0 ? true : undefined;
  await pollUntil('the event to arrive', isThere, deliveredMs);
}
