// What the scenario says to the processes that run another job queue of npm on the same server.

export interface PeerStart {
  connectionString: string;
  eventBytes: number;
}

export interface PeerReady {
  /** Name, version and the settings it runs with. */
  description: string;
}

export interface PeerOrder {
  jobs: number;
  /** Added while workers run, as ours are; or all of them first, then worked on. */
  order: 'together' | 'first';
}

export interface PeerAnswer {
  /** From the first job added to the last one done. */
  elapsedMs: number;
}

export const jobsPerInsert = 1000;
export const insertersUnderWay = 2;

/** Adds `jobs` in batches, a few under way at once. */
export async function addInBatches(jobs: number, add: (count: number) => Promise<void>): Promise<void> {
  let left = jobs;
  const inserter = async (): Promise<void> => {
    while (left > 0) {
      const count = Math.min(jobsPerInsert, left);
      left -= count;
      await add(count);
    }
  };
  await Promise.all(Array.from({ length: insertersUnderWay }, inserter));
}

export interface Peer {
  start(options: PeerStart): Promise<PeerReady>;
  work(order: PeerOrder): Promise<void>;
  /** Outside the time: what an installation would have a scheduled job for. */
  tidy(): Promise<void>;
}

/** Serves orders until the process is stopped; a failure ends it with the error printed. */
export function servePeer(peer: Peer): void {
  const failed = (error: unknown): void => {
    console.error(error);
    process.exit(1);
  };
  const serve = async (order: PeerOrder): Promise<void> => {
    const beganAt = performance.now();
    await peer.work(order);
    const elapsedMs = performance.now() - beganAt;
    await peer.tidy();
    process.send?.({ elapsedMs } satisfies PeerAnswer);
  };
  process.once('message', (options: PeerStart) => {
    peer.start(options).then((ready) => {
      process.on('message', (order: PeerOrder) => void serve(order).catch(failed));
      process.send?.(ready);
    }, failed);
  });
}
