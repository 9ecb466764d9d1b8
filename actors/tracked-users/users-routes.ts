// GET /tracked-users of the admin API: how many users each source and workspace had.

import { AdminError, type AdminRoute } from '../admin/contract.ts';
import type { TrackedUsersStore } from './tracked-users.ts';

const msPerHour = 3_600_000;
const hoursDefault = 24;
const hoursMax = 24 * 366;

export function usersRoutes(store: TrackedUsersStore, nowMs: () => number): AdminRoute[] {
  return [
    {
      method: 'GET',
      path: '/tracked-users',
      doc: 'how many users sources and workspaces had, by default of the last 24 hours: ?since= &until= &workspaceId= &sourceId=',
      handle: async ({ query }) => {
        const nowHour = Math.floor(nowMs() / msPerHour);
        const sinceHour = hourIn(query, 'since', nowHour - hoursDefault);
        const untilHour = hourIn(query, 'until', nowHour + 1);
        if (untilHour - sinceHour > hoursMax) throw new AdminError(400, `expected at most ${hoursMax} hours`);
        const trackedUsers = await store.read({
          sinceHour,
          untilHour,
          workspaceId: query.get('workspaceId') ?? '',
          sourceId: query.get('sourceId') ?? '',
        });
        return { status: 200, json: { trackedUsers } };
      },
    },
  ];
}

function hourIn(query: URLSearchParams, name: string, fallback: number): number {
  const text = query.get(name);
  if (text === null) return fallback;
  const atMs = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(atMs)) throw new AdminError(400, `expected ${name} as ISO 8601, like 2026-01-31T10:00Z`);
  return Math.floor(atMs / msPerHour);
}
