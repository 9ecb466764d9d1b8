// The raw limit of delivering: a bare undici pool that posts the same body over and over, as many requests under way as it
// has connections. A process of its own.

import { Pool } from 'undici';
import { payloadOf } from './storage/job-frames.ts';

export interface RawDelivery {
  origin: string;
  jobs: number;
  connections: number;
  eventBytes: number;
  /** Events of one request; 1: not in an array. */
  batch: number;
}

export interface RawDelivered {
  elapsedMs: number;
}

const headers = { 'content-type': 'application/json' };

async function deliver({ origin, jobs, connections, eventBytes, batch }: RawDelivery): Promise<RawDelivered> {
  const pool = new Pool(origin, { connections, pipelining: 1 });
  const event = payloadOf(eventBytes);
  const body = Buffer.from(batch === 1 ? event : `[${Array.from({ length: batch }, () => event).join(',')}]`);
  let unsent = Math.ceil(jobs / batch);
  let underWay = 0;
  const beganAt = performance.now();
  await new Promise<void>((resolve, reject) => {
    const send = (): void => {
      if (unsent === 0) {
        if (underWay === 0) resolve();
        return;
      }
      unsent -= 1;
      underWay += 1;
      pool.dispatch(
        { path: '/', method: 'POST', headers, body },
        {
          onRequestStart: () => undefined,
          onResponseStart: () => undefined,
          onResponseData: () => undefined,
          onResponseEnd: () => {
            underWay -= 1;
            send();
          },
          onResponseError: (_controller, error) => reject(error),
        },
      );
    };
    for (let index = 0; index < connections; index += 1) send();
  });
  const elapsedMs = performance.now() - beganAt;
  await pool.close();
  return { elapsedMs };
}

process.on('message', (order: RawDelivery) => {
  deliver(order).then(
    (delivered) => process.send?.(delivered),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
