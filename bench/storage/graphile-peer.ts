// The peer graphile-worker, with the settings its documentation gives for the highest throughput: jobs added in batches, 24 jobs at
// once, a local queue of 500, batched completion. A process of its own.

import { Logger, makeWorkerUtils, type Runner, run, type WorkerUtils } from 'graphile-worker';
import { pollUntil } from '../../test/support/poll.ts';
import { payloadOf } from './job-frames.ts';
import { addInBatches, type PeerOrder, servePeer } from './peer-contract.ts';

const version = '0.17.3';
const settings = {
  concurrentJobs: 24,
  maxPoolSize: 25,
  localQueue: { size: 500 },
  completeJobBatchDelay: 0,
  failJobBatchDelay: 0,
};
const doneMs = 3_600_000;

let utils: WorkerUtils | undefined;
let connectionString = '';
let payload: object = {};
let handled = 0;
let onHandled: () => void = () => undefined;

async function work({ jobs, order }: PeerOrder): Promise<void> {
  handled = 0;
  const allHandled = new Promise<void>((resolve) => {
    onHandled = () => {
      if (handled >= jobs) resolve();
    };
  });
  if (order === 'first') await addJobs(jobs);
  const runner = await startRunner();
  if (order === 'together') await addJobs(jobs);
  await allHandled;
  await pollUntil('every job to be completed', async () => ((await pendingJobs()) === 0 ? true : undefined), doneMs);
  await runner.stop();
}

function addJobs(jobs: number): Promise<void> {
  return addInBatches(jobs, async (count) => {
    await utils?.addJobs(Array.from({ length: count }, () => ({ identifier: 'bench', payload })));
  });
}

function startRunner(): Promise<Runner> {
  return run({
    preset: { worker: { connectionString, logger: new Logger(() => () => undefined), ...settings } },
    noHandleSignals: true,
    taskList: {
      bench: () => {
        handled += 1;
        onHandled();
      },
    },
  });
}

async function pendingJobs(): Promise<number> {
  const found = await utils?.withPgClient((client) =>
    client.query<{ pending: number }>(
      'select count(*)::int as pending from (select 1 from graphile_worker.jobs limit 1) as one',
    ),
  );
  return found?.rows[0]?.pending ?? 0;
}

servePeer({
  work,
  // Done jobs are deleted by itself.
  tidy: () => Promise.resolve(),
  async start(options) {
    connectionString = options.connectionString;
    payload = { event: payloadOf(options.eventBytes - '{"event":""}'.length) };
    utils = await makeWorkerUtils({ connectionString, logger: new Logger(() => () => undefined) });
    await utils.migrate();
    return { description: `graphile-worker ${version} ${JSON.stringify(settings)}` };
  },
});
