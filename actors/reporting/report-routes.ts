// GET /reports of the admin API: what became of events, by stage.

import type { Postgres } from '../../transport/index.ts';
import { AdminError, type AdminRoute } from '../admin/contract.ts';
import { minuteOf } from '../observations/contract.ts';
import type { ReportLabels } from './contract.ts';
import { readReports } from './report-query.ts';

const listedMax = 1_000;
const listedDefault = 200;
const hourMinutes = 60;
const filters = ['workspaceId', 'sourceId', 'destinationId', 'reportedBy', 'state', 'eventName', 'eventType'] as const;

export interface ReportRoutesOptions {
  postgres: Pick<Postgres, 'query'>;
  nowMs(): number;
}

export function reportRoutes({ postgres, nowMs }: ReportRoutesOptions): AdminRoute[] {
  return [
    {
      method: 'GET',
      path: '/reports',
      doc: `what became of events by stage, of the last hour: ?since= &until= &by=minute &limit= and ?${filters.join('= &')}=`,
      handle: async ({ query }) => {
        const nowMinute = minuteOf(nowMs());
        const limit = Number(query.get('limit') ?? listedDefault);
        if (!Number.isInteger(limit) || limit < 1 || limit > listedMax) {
          throw new AdminError(400, `expected limit to be an integer from 1 to ${listedMax}`);
        }
        const reports = await readReports(postgres, {
          sinceMinute: minuteIn(query, 'since', nowMinute - hourMinutes),
          untilMinute: minuteIn(query, 'until', nowMinute + 1),
          labels: labelsIn(query),
          byMinute: query.get('by') === 'minute',
          limit,
        });
        return { status: 200, json: { reports } };
      },
    },
  ];
}

function labelsIn(query: URLSearchParams): ReportLabels {
  const given = filters.flatMap((name) => {
    const value = query.get(name);
    return value === null ? [] : [[name, value]];
  });
  return Object.fromEntries(given);
}

function minuteIn(query: URLSearchParams, name: string, fallback: number): number {
  const text = query.get(name);
  if (text === null) return fallback;
  const atMs = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(atMs)) throw new AdminError(400, `expected ${name} as ISO 8601, like 2026-01-31T10:00Z`);
  return minuteOf(atMs);
}
