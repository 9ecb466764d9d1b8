// The admin API of dead letters: what was given up and why, as a list and as an export with the events, and trying
// again one, some or all that match.

import type { ServerResponse } from 'node:http';
import type { Postgres } from '../transport/index.ts';
import { AdminError, type AdminRequest, type AdminRoute } from './admin/contract.ts';
import type { Commit, CommitReply } from './storage/contract.ts';
import { type DeadLetter, type DeadLetterFilter, findDeadLetters } from './storage/dead-letters.ts';
import { redrive } from './storage/redrive.ts';

export interface DeadLetterRoutesOptions {
  postgres(): Postgres | undefined;
  /** Rejects when the lane's storage cannot be reached. */
  commit(lane: number, commit: Commit): Promise<CommitReply>;
}

const listedMax = 200;
const listedDefault = 50;
const exportPage = 200;
const retriedMax = 10_000;
const retryPage = 200;
const filterNames = ['destinationId', 'sourceId', 'code', 'since', 'until'];

export function deadLetterRoutes(options: DeadLetterRoutesOptions): AdminRoute[] {
  return [
    {
      method: 'GET',
      path: '/dead-letters',
      doc: 'jobs that were given up: ?destinationId= &sourceId= &code= &since= &until= &before=<jobId> &limit= &all=true',
      handle: async ({ query }) => {
        const limit = integerOf(query.get('limit'), 'limit', 1, listedMax, listedDefault);
        const found = await read(options, filterOf(query), limit);
        const last = found.at(-1);
        const next = found.length === limit && last !== undefined ? { before: last.jobId } : {};
        return { status: 200, json: { deadLetters: found.map(toJson), ...next } };
      },
    },
    {
      method: 'GET',
      path: '/dead-letters/export',
      doc: 'the same filters; one line of JSON each, with the event',
      handle: ({ query }) => {
        const filter = filterOf(query);
        return { stream: (response) => void exportTo(response, options, filter) };
      },
    },
    {
      method: 'POST',
      path: '/dead-letters/retry',
      doc: `tries again {"jobIds": [...]} or what matches {"destinationId", "sourceId", "code", "since", "until"}, at most ${retriedMax} at a time`,
      handle: async (request) => ({ status: 200, json: await retry(options, await filterOfBody(request)) }),
    },
  ];
}

async function retry(options: DeadLetterRoutesOptions, filter: DeadLetterFilter) {
  const sum = { retried: 0, alreadyRetried: 0, refused: [] as { jobId: number; reason: string }[] };
  let beforeJobId = 0;
  for (;;) {
    const page = await read(options, { ...filter, beforeJobId }, retryPage);
    const result = await redrive(page, (lane, commit) => options.commit(lane, commit));
    sum.retried += result.retried.length;
    sum.alreadyRetried += result.alreadyRetried.length;
    sum.refused.push(...result.refused);
    beforeJobId = page.at(-1)?.jobId ?? 0;
    const done = sum.retried + sum.alreadyRetried + sum.refused.length;
    if (page.length < retryPage || done >= retriedMax) return { ...sum, more: page.length === retryPage };
  }
}

async function exportTo(response: ServerResponse, options: DeadLetterRoutesOptions, filter: DeadLetterFilter) {
  response.writeHead(200, { 'Content-Type': 'application/x-ndjson; charset=utf-8' });
  try {
    for (let beforeJobId = filter.beforeJobId; ; ) {
      const page = await read(options, { ...filter, beforeJobId }, exportPage);
      for (const job of page) {
        const line = `${JSON.stringify({ ...toJson(job), event: job.payload.toString('utf8') })}\n`;
        if (!response.write(line)) await new Promise((resume) => response.once('drain', resume).once('close', resume));
      }
      beforeJobId = page.at(-1)?.jobId ?? 0;
      if (page.length < exportPage || response.destroyed) break;
    }
    response.end();
  } catch {
    // The head is sent: a connection that is cut is the only way left to say that this is not all.
    response.destroy();
  }
}

async function read({ postgres }: DeadLetterRoutesOptions, filter: DeadLetterFilter, limit: number) {
  const pool = postgres();
  if (pool === undefined) throw new AdminError(503, 'the database is not open');
  return await pool.withSession((session) => findDeadLetters(session, filter, limit));
}

function toJson({ payload, parameters, response, lane, ...job }: DeadLetter) {
  return { ...job, lane, payloadBytes: payload.byteLength, parameters: parsed(parameters), answer: parsed(response) };
}

/** JSON by contract; what is not is shown as it is. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function filterOf(query: URLSearchParams): DeadLetterFilter {
  return {
    destinationId: query.get('destinationId') ?? '',
    sourceId: query.get('sourceId') ?? '',
    code: integerOf(query.get('code'), 'code', 0, 999, 0),
    sinceMs: timeOf(query.get('since'), 'since'),
    untilMs: timeOf(query.get('until'), 'until'),
    beforeJobId: integerOf(query.get('before'), 'before', 1, Number.MAX_SAFE_INTEGER, 0),
    jobIds: [],
    withRetried: query.get('all') === 'true',
  };
}

async function filterOfBody(request: AdminRequest): Promise<DeadLetterFilter> {
  const body = await request.json();
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new AdminError(400, 'expected the body to be a JSON object');
  }
  const fields = new Map<string, unknown>(Object.entries(body));
  for (const name of fields.keys()) {
    if (name !== 'jobIds' && !filterNames.includes(name)) {
      throw new AdminError(400, `expected only jobIds or ${filterNames.join(', ')}, got ${name}`);
    }
  }
  if (fields.size === 0) throw new AdminError(400, 'expected jobIds or a filter: nothing would mean everything');
  const query = new URLSearchParams();
  for (const name of filterNames) {
    const value = fields.get(name);
    if (value !== undefined) query.set(name, String(value));
  }
  const jobIds = fields.get('jobIds') ?? [];
  const isGood = Array.isArray(jobIds) && jobIds.every((id) => Number.isSafeInteger(id) && id > 0);
  if (!isGood) throw new AdminError(400, 'expected jobIds to be a list of job ids');
  if (fields.has('jobIds') && jobIds.length === 0) throw new AdminError(400, 'expected at least one job id');
  return { ...filterOf(query), jobIds };
}

function integerOf(text: string | null, name: string, min: number, max: number, fallback: number): number {
  if (text === null || text === '') return fallback;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new AdminError(400, `expected ${name} to be an integer from ${min} to ${max}, got ${JSON.stringify(text)}`);
}

function timeOf(text: string | null, name: string): number {
  if (text === null || text === '') return 0;
  const atMs = Date.parse(text);
  if (!Number.isNaN(atMs) && /^\d{4}-\d\d-\d\d/.test(text)) return atMs;
  throw new AdminError(400, `expected ${name} to be a time like 2026-01-31T12:00:00Z, got ${JSON.stringify(text)}`);
}
