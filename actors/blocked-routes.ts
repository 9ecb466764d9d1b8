// The admin API of blocked users: whose events wait behind one that failed, and freeing them by giving that one up.

import type { Postgres } from '../transport/index.ts';
import { AdminError, type AdminRoute } from './admin/contract.ts';
import type { DestinationControls } from './controls/controls.ts';
import { findBlockedUsers } from './storage/blocked-jobs.ts';

export interface BlockedRoutesOptions {
  postgres(): Postgres | undefined;
  controls: Pick<DestinationControls, 'drain'>;
}

const listedMax = 200;
export const releaseReason = 'given up to free its user';

export function blockedRoutes({ postgres, controls }: BlockedRoutesOptions): AdminRoute[] {
  return [
    {
      method: 'GET',
      path: '/blocked-users',
      doc: `users whose events wait behind one that failed, at most ${listedMax}: ?destinationId=`,
      handle: async ({ query }) => {
        const pool = postgres();
        if (pool === undefined) throw new AdminError(503, 'the database is not open');
        const destinationId = query.get('destinationId') ?? '';
        const found = await pool.withSession((session) => findBlockedUsers(session, destinationId, listedMax));
        return { status: 200, json: { blockedUsers: found } };
      },
    },
    {
      method: 'POST',
      path: '/blocked-users/:jobId/release',
      doc: 'gives up the job that failed, so that the user’s later events go on; it can be retried as a dead letter',
      handle: async ({ params: { jobId = '' } }) => {
        if (!/^\d{1,16}$/.test(jobId)) {
          throw new AdminError(400, `expected the id of a job, got ${JSON.stringify(jobId)}`);
        }
        const rule = { destinationId: '', sourceId: '', jobRunId: '', receivedBeforeMs: 0, reason: releaseReason };
        await controls.drain({ ...rule, jobId: Number(jobId) });
        return { status: 202, json: { jobId: Number(jobId), released: true } };
      },
    },
  ];
}
