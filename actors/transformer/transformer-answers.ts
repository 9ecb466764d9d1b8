// Reads what the transformer answers about a chunk of jobs. An answer is used whole or not at all: one that leaves a job
// out, knows one that was not asked about, or cannot be read says nothing about any of them, because nobody can tell
// which half of it is true.

import type { OutputRequest, TransformedGroup, TransformerJob } from './contract.ts';
import { isTable, readRestOutput } from './rest-output.ts';

/** The breach of contract in words. */
export class AnswerBreach extends Error {
  override readonly name = 'AnswerBreach';
}

const successCode = 200;
const filteredCode = 298;
const badOutputCode = 400;
const reasonCharactersMax = 2_000;

/** `/v0/destinations/<type>`: any number of items for each job, in any order. */
export function readProcessorAnswer(body: Buffer, jobs: readonly TransformerJob[]): TransformedGroup[] {
  const positions = positionsOf(jobs);
  const found = new Map<number, { requests: OutputRequest[]; code: number; reason: string; filtered: number }>();
  for (const item of listIn(parse(body), 'a list of items')) {
    const index = positionOf(isTable(item) ? item.metadata : undefined, positions);
    const { code, reason, output } = itemOf(item);
    let group = found.get(index);
    if (group === undefined) {
      group = { requests: [], code: successCode, reason: '', filtered: 0 };
      found.set(index, group);
    }
    if (code === filteredCode) group.filtered += 1;
    else if (code !== successCode) Object.assign(group, { code, reason });
    else {
      const request = readRestOutput(output);
      if (typeof request === 'string') Object.assign(group, { code: badOutputCode, reason: request });
      else group.requests.push(request);
    }
  }
  return jobs.map((job, index): TransformedGroup => {
    const group = found.get(index);
    if (group === undefined) throw new AnswerBreach(`expected an answer for job ${job.job.jobId}, got none`);
    const isFiltered = group.filtered > 0 && group.requests.length === 0 && group.code === successCode;
    const { requests, code, reason } = group;
    return isFiltered
      ? { indexes: [index], requests, code: filteredCode, reason: 'filtered by the destination' }
      : { indexes: [index], requests, code, reason };
  });
}

/** `/routerTransform` and `/batch`: each job in exactly one item, several jobs may share one. */
export function readRouterAnswer(
  body: Buffer,
  jobs: readonly TransformerJob[],
  form: 'object' | 'list',
): TransformedGroup[] {
  const content = parse(body);
  const items = form === 'list' ? content : isTable(content) ? content.output : undefined;
  const positions = positionsOf(jobs);
  const seen = new Set<number>();
  const groups = listIn(items, 'output to be a list').map((item): TransformedGroup => {
    const metadata = listIn(isTable(item) ? item.metadata : undefined, 'metadata to be a list');
    if (metadata.length === 0) throw new AnswerBreach('expected metadata of at least one job, got none');
    const indexes = metadata.map((one) => positionOf(one, positions));
    for (const index of indexes) {
      if (seen.has(index)) throw new AnswerBreach(`job ${jobs[index]?.job.jobId} is answered twice`);
      seen.add(index);
    }
    const mustBeAlone = metadata.some((one) => isTable(one) && one.dontBatch === true);
    return { indexes, ...requestsOf(item), mustBeAlone };
  });
  if (seen.size !== jobs.length) {
    throw new AnswerBreach(`expected answers for ${jobs.length} jobs, got ${seen.size}`);
  }
  return groups;
}

function requestsOf(item: unknown): Pick<TransformedGroup, 'requests' | 'code' | 'reason'> {
  const { code, reason } = itemOf(item);
  const given = isTable(item) ? item.batchedRequest : undefined;
  // The field takes a missing status for a success.
  if (code !== successCode && code !== 0) return { requests: [], code, reason };
  const requests: OutputRequest[] = [];
  for (const output of Array.isArray(given) ? given : [given]) {
    const request = readRestOutput(output);
    if (typeof request === 'string') return { requests: [], code: badOutputCode, reason: request };
    requests.push(request);
  }
  return { requests, code: successCode, reason: '' };
}

export interface ProxyOutcome {
  code: number;
  text: string;
  mustBeAlone: boolean;
}

/** `/v1/…/proxy`: an outcome for each job; one that the answer leaves out is tried again. */
export function readProxyAnswer(body: Buffer, jobs: readonly TransformerJob[]): ProxyOutcome[] {
  const content = parse(body);
  const output = isTable(content) ? content.output : undefined;
  if (!isTable(output)) throw new AnswerBreach('expected output to be an object');
  const positions = positionsOf(jobs);
  const outcomes: (ProxyOutcome | undefined)[] = jobs.map(() => undefined);
  for (const one of listIn(output.response, 'response to be a list')) {
    const metadata = isTable(one) ? one.metadata : undefined;
    const index = positionOf(metadata, positions);
    if (outcomes[index] !== undefined) {
      throw new AnswerBreach(`job ${jobs[index]?.job.jobId} is answered twice`);
    }
    const code = isTable(one) && typeof one.statusCode === 'number' ? one.statusCode : 500;
    const text = isTable(one) && typeof one.error === 'string' ? one.error : '';
    const mustBeAlone = isTable(metadata) && metadata.dontBatch === true;
    outcomes[index] = { code, text: text.slice(0, reasonCharactersMax), mustBeAlone };
  }
  const missing = 'Response for this job is expected but not found';
  return outcomes.map((outcome) => outcome ?? { code: 500, text: missing, mustBeAlone: false });
}

/** `/v0/…/proxy`: the status of the answer is the destination's; the rest is text. */
export function readOldProxyAnswer(body: Buffer): string {
  const content = parse(body);
  if (!isTable(content) || !isTable(content.output)) throw new AnswerBreach('expected output to be an object');
  const { message, destinationResponse } = content.output;
  const told = destinationResponse === undefined ? message : destinationResponse;
  return (typeof told === 'string' ? told : (JSON.stringify(told) ?? '')).slice(0, reasonCharactersMax);
}

function itemOf(item: unknown): { code: number; reason: string; output: unknown } {
  if (!isTable(item)) throw new AnswerBreach('expected each item to be an object');
  const { statusCode, error, output } = item;
  const code = statusCode === undefined ? 0 : statusCode;
  if (typeof code !== 'number' || !Number.isInteger(code) || code < 0 || code > 599) {
    throw new AnswerBreach('expected statusCode to be an HTTP status');
  }
  const reason = typeof error === 'string' ? error.slice(0, reasonCharactersMax) : `the transformer answered ${code}`;
  return { code, reason, output };
}

function positionsOf(jobs: readonly TransformerJob[]): Map<number, number> {
  return new Map(jobs.map(({ job }, index) => [job.jobId, index]));
}

function positionOf(metadata: unknown, positions: ReadonlyMap<number, number>): number {
  const jobId = isTable(metadata) ? metadata.jobId : undefined;
  const index = positions.get(typeof jobId === 'string' ? Number(jobId) : (jobId as number));
  if (index === undefined) throw new AnswerBreach(`expected a job that was asked about, got ${String(jobId)}`);
  return index;
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    throw new AnswerBreach('expected JSON, got something else');
  }
}

function listIn(value: unknown, expected: string): unknown[] {
  if (!Array.isArray(value)) throw new AnswerBreach(`expected ${expected}`);
  return value;
}
