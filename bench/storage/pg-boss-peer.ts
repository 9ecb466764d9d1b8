// The peer pg-boss, with the settings its documentation gives for many jobs: inserted in batches, fetched and completed in batches
// of 1 000 by two loops that never pause, no supervision or scheduling beside. A process of its own.

import PgBoss from 'pg-boss';
import { payloadOf } from './job-frames.ts';
import { addInBatches, type PeerOrder, servePeer } from './peer-contract.ts';

const version = '10.4.2';
const queue = 'bench';
const batchSize = 1000;
const loops = 2;

let boss: PgBoss | undefined;
let data: object = {};

async function work({ jobs, order }: PeerOrder): Promise<void> {
  const opened = boss;
  if (opened === undefined) throw new Error('expected pg-boss to be started');
  const adding = addInBatches(jobs, (count) =>
    opened.insert(Array.from({ length: count }, () => ({ name: queue, data }))),
  );
  if (order === 'first') await adding;
  let done = 0;
  const loop = async (): Promise<void> => {
    while (done < jobs) {
      const fetched = await opened.fetch(queue, { batchSize, includeMetadata: false, priority: false });
      if (fetched.length === 0) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        continue;
      }
      await opened.complete(
        queue,
        fetched.map(({ id }) => id),
      );
      done += fetched.length;
    }
  };
  await Promise.all([adding, ...Array.from({ length: loops }, loop)]);
}

servePeer({
  work,
  // Done jobs stay in the table until its maintenance archives them; an empty one is the faster one.
  tidy: async () => void (await boss?.clearStorage()),
  async start({ connectionString, eventBytes }) {
    boss = new PgBoss({ connectionString, supervise: false, schedule: false, max: 10 });
    boss.on('error', (error) => {
      throw error;
    });
    await boss.start();
    await boss.createQueue(queue);
    data = { event: payloadOf(eventBytes - '{"event":""}'.length) };
    return { description: `pg-boss ${version}, inserts and fetches of ${batchSize}, ${loops} loops` };
  },
});
