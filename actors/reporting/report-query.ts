// Reads reports for people and scripts: sums by place and kind over a span of time, those not gathered yet included.

import type { Postgres } from '../../transport/index.ts';
import { allObservations } from '../observations/observation-log.ts';
import type { ReportLabels } from './contract.ts';
import { exampleOf, violationsOf } from './report-tally.ts';

export interface ReportQuery {
  sinceMinute: number;
  /** Not included. */
  untilMinute: number;
  /** Only reports with these labels. */
  labels: ReportLabels;
  byMinute: boolean;
  limit: number;
}

export interface Report extends ReportLabels {
  /** Epoch minute; of sums over all minutes there is none. */
  minute?: number;
  count: number;
  violationCount?: number;
  sampleEvent?: string;
  sampleResponse?: string;
}

interface Row {
  minute: number | null;
  labels: string;
  count: number;
  sample: string;
  content: Buffer;
}

/** The most frequent first; of single minutes, the newest minute first. */
export async function readReports(postgres: Pick<Postgres, 'query'>, query: ReportQuery): Promise<Report[]> {
  const { sinceMinute, untilMinute, labels, byMinute, limit } = query;
  const minute = byMinute ? 'minute' : 'null::integer';
  const { rows } = await postgres.query<Row>(
    `select ${minute} as minute, labels, sum(count)::bigint as count, max(sample) as sample,
       string_agg(content, ''::bytea) as content
     from (${allObservations}) as observed
     where topic = 'report' and minute >= $1 and minute < $2 and ($3 = '{}' or labels::jsonb @> $3::jsonb)
     group by 1, labels order by 1 desc nulls last, count desc, labels limit $4`,
    [sinceMinute, untilMinute, JSON.stringify(labels), limit],
  );
  return rows.map((row) => {
    const { event, response } = exampleOf(row.sample);
    const violations = violationsOf(row.content);
    return {
      ...(row.minute === null ? {} : { minute: row.minute }),
      ...(JSON.parse(row.labels) as ReportLabels),
      count: row.count,
      ...(violations === 0 ? {} : { violationCount: violations }),
      ...(event === '' ? {} : { sampleEvent: event }),
      ...(response === '' ? {} : { sampleResponse: response }),
    };
  });
}
