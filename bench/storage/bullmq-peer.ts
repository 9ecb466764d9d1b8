// The peer BullMQ, with what its documentation gives for many jobs: added in bulk, many at once per worker, jobs removed
// when they are done. Its Redis is not PostgreSQL, so it is told beside the others and holds no goal. A process of its
// own; Redis is another one.

import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { payloadOf } from './job-frames.ts';
import { addInBatches, type PeerOrder, servePeer } from './peer-contract.ts';

const version = '6.7.0';
const name = 'bench';
const concurrency = 200;

let redisUrl = '';
let queue: Queue | undefined;
let data: object = {};

/** Workers want connections that wait for as long as it takes. */
function connect(): Redis {
  return new Redis(redisUrl, { maxRetriesPerRequest: null });
}

async function work({ jobs, order }: PeerOrder): Promise<void> {
  const opened = queue;
  if (opened === undefined) throw new Error('expected BullMQ to be started');
  const add = (): Promise<void> =>
    addInBatches(jobs, async (count) => {
      await opened.addBulk(Array.from({ length: count }, () => ({ name, data, opts: { removeOnComplete: true } })));
    });
  if (order === 'first') await add();
  const connection = connect();
  const worker = new Worker(name, async () => undefined, { connection, concurrency });
  const allDone = new Promise<void>((resolve, reject) => {
    let done = 0;
    worker.on('completed', () => {
      done += 1;
      if (done === jobs) resolve();
    });
    worker.on('error', reject);
  });
  await Promise.all([allDone, order === 'together' ? add() : undefined]);
  await worker.close();
  connection.disconnect();
}

servePeer({
  work,
  tidy: async () => void (await queue?.obliterate({ force: true })),
  async start({ connectionString, eventBytes }) {
    redisUrl = connectionString;
    queue = new Queue(name, { connection: connect() });
    data = { event: payloadOf(eventBytes - '{"event":""}'.length) };
    await queue.waitUntilReady();
    const asking = connect();
    const server = /redis_version:(\S+)/.exec(await asking.info())?.[1] ?? 'unknown';
    asking.disconnect();
    return {
      description: `BullMQ ${version} on Redis ${server} (appendonly, appendfsync always), ${concurrency} jobs at once`,
    };
  },
});
