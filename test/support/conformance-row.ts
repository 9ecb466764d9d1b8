// One row of the conformance table: a rule of the field's gateway (spec/ingest.md 1.1 to 1.12), a request that shows it,
// and what must come of it.

import type { Job } from '../../actors/job.ts';
import { basicAuth, type RequestParts } from './gateway-fixture.ts';

export interface ConformanceRow {
  /** Section of the spec. */
  rule: string;
  what: string;
  method: string;
  path: string;
  parts: RequestParts;
  status: number;
  /** The whole body, with the newline that errors end with; undefined: any. */
  text: string | undefined;
  /** How many jobs, or a check of those that were stored. */
  stored: number | ((jobs: readonly Job[]) => void);
}

/** `request`: "POST /v1/track". Errors are given without their newline. */
export function row(
  rule: string,
  request: string,
  what: string,
  parts: RequestParts,
  [status, text]: readonly [status: number, text?: string],
  stored: ConformanceRow['stored'] = 0,
): ConformanceRow {
  const [method = '', path = ''] = request.split(' ');
  const whole = text === undefined || status < 400 ? text : `${text}\n`;
  return { rule, what, method, path, parts, status, text: whole, stored };
}

export const token = 'secret-token';
export const ok = [200, 'ok'] as const;
export const nobody = { headers: { Authorization: '' } };
export const as = (key: string): { headers: Record<string, string> } => ({
  headers: { Authorization: basicAuth(key) },
});
export const bearer = (headers: Record<string, string> = {}): { headers: Record<string, string> } => ({
  headers: { Authorization: `Bearer ${token}`, ...headers },
});

export function eventOf(job: Job | undefined): Record<string, unknown> {
  return JSON.parse(Buffer.from(job?.payload ?? []).toString());
}
