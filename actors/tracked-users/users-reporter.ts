// Posts the sketches of hours that are over to the reporting service, in the shape of the field. Sent twice they count
// once, because a sketch put together with itself is the same; an hour that changes afterwards is sent again.

import type { ServiceClient } from '../services/service-client.ts';
import type { TrackedUsersStore, UsersHour } from './tracked-users.ts';

export interface UsersReporterOptions {
  store: TrackedUsersStore;
  client: Pick<ServiceClient, 'call'>;
  url: string;
  /** Of the Authorization header; '': none. */
  authorization: string;
  timeoutMs: number;
  instanceId: string;
  nowMs(): number;
}

const batchMax = 10;
const msPerHour = 3_600_000;
/** What was told in the last minutes of an hour has been gathered by then. */
const graceMs = 180_000;

/** Rejects at the first batch that was not taken; the rest is sent the next time. */
export async function reportUsers(options: UsersReporterOptions): Promise<void> {
  const { store, nowMs } = options;
  const beforeHour = Math.floor((nowMs() - graceMs) / msPerHour);
  for (;;) {
    const hours = await store.unreported(beforeHour, batchMax);
    if (hours.length === 0) return;
    await post(options, hours);
    await store.reported(hours);
  }
}

async function post(options: UsersReporterOptions, hours: readonly UsersHour[]): Promise<void> {
  const { client, url, authorization, timeoutMs, instanceId } = options;
  const reports = hours.map(({ hour, workspaceId, sourceId, sketches }) => ({
    reportedAt: new Date(hour * msPerHour).toISOString(),
    workspaceId,
    sourceId,
    instanceId,
    userIdHLL: sketches.users.hex(),
    anonymousIdHLL: sketches.anonymous.hex(),
    identifiedAnonymousIdHLL: sketches.identified.hex(),
  }));
  const { status } = await client.call({
    method: 'POST',
    url: new URL(`${url.replace(/\/+$/, '')}/trackedUser`),
    headers: {
      'Content-Type': 'application/json',
      ...(authorization === '' ? {} : { Authorization: authorization }),
    },
    body: Buffer.from(JSON.stringify(reports)),
    timeoutMs,
  });
  if (status < 200 || status >= 300) throw new Error(`the reporting service answered ${status} to tracked users`);
}
