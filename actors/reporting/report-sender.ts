// Sends reports to the service of `reporting.url`, in the shape of the field: one request for each place and minute, with
// at most ten kinds of reports. What is not taken is sent again with growing pauses until it is too old; a request has
// the same idempotency key then.

import type { Clock, Random } from '../../runtime/index.ts';
import type { ObservationLog, Observed } from '../observations/observation-log.ts';
import { PollLoop } from '../services/poll-loop.ts';
import type { ServiceClient } from '../services/service-client.ts';
import type { ServiceHealth } from '../services/service-health.ts';
import type { ReportDetail, ReportLabels, ReportPlace } from './contract.ts';
import { exampleOf, violationsOf } from './report-tally.ts';

export interface ReportSenderOptions {
  log: ObservationLog;
  client: Pick<ServiceClient, 'call'>;
  url: string;
  /** Of the Authorization header; '': none. */
  authorization: string;
  timeoutMs: number;
  instanceId: string;
  namespace: string;
  everyMs: number;
  health: ServiceHealth;
  clock: Clock;
  random: Random;
}

const readerName = 'reports';
const rowsMax = 500;
const detailsMax = 10;
const requestsInFlightMax = 8;
/** A whole round of slow answers fits. */
const leaseMs = 300_000;
const msPerMinute = 60_000;
/** Answers that the same again would only get again. */
const hopeless: ReadonlySet<number> = new Set([400, 413, 422]);

interface Request {
  firstId: number;
  place: ReportLabels;
  minute: number;
  details: Observed[];
}

export class ReportSender {
  readonly #options: ReportSenderOptions;
  readonly #target: URL;
  readonly #loop: PollLoop;

  constructor(options: ReportSenderOptions) {
    this.#options = options;
    this.#target = new URL(`${options.url.replace(/\/+$/, '')}/metrics?version=v1`);
    const { everyMs, clock, random, health } = options;
    this.#loop = new PollLoop({
      everyMs,
      clock,
      random,
      run: () => this.sendAll(),
      onError: (error) => health.failed(error instanceof Error ? error.message : String(error)),
    });
  }

  start(): void {
    this.#loop.start();
  }

  async close(): Promise<void> {
    await this.#loop.close();
    await this.#options.log.release(readerName).catch(() => undefined);
  }

  /** Sends all that has been gathered. Rejects at the first request that was not taken. */
  async sendAll(): Promise<boolean> {
    const { log, health } = this.#options;
    let position = await log.lease(readerName, leaseMs);
    if (position === undefined) return true;
    for (;;) {
      const observed = await log.read('report', position, rowsMax);
      const last = observed.at(-1);
      if (last === undefined) break;
      await this.#send(requestsOf(observed));
      position = last.id;
      await log.advance(readerName, position);
    }
    health.succeeded();
    return true;
  }

  async #send(requests: Request[]): Promise<void> {
    const worker = async (): Promise<void> => {
      for (let request = requests.pop(); request !== undefined; request = requests.pop()) await this.#post(request);
    };
    await Promise.all(Array.from({ length: requestsInFlightMax }, worker));
  }

  async #post(request: Request): Promise<void> {
    const { client, authorization, timeoutMs, health, instanceId } = this.#options;
    const headers: Record<string, string> = {
      'Content-Type': 'application/json',
      'Idempotency-Key': `reports-${request.firstId}-${request.details.length}`,
    };
    if (authorization !== '') headers.Authorization = authorization;
    const body = Buffer.from(bodyOf(request, this.#options.namespace, instanceId));
    const { status } = await client.call({ method: 'POST', url: this.#target, headers, body, timeoutMs });
    if (status >= 200 && status < 300) return;
    if (!hopeless.has(status)) throw new Error(`the reporting service answered ${status}`);
    health.failed(`the reporting service refused reports for good (${status}); they are dropped`);
  }
}

/** Reports of one place and minute go together. Rows come in the order of their ids, and keys must not depend on it. */
function requestsOf(observed: readonly Observed[]): Request[] {
  const open = new Map<string, Request>();
  const requests: Request[] = [];
  for (const one of observed) {
    const { place } = splitLabels(one.labels);
    const key = `${one.minute} ${JSON.stringify(place)}`;
    let request = open.get(key);
    if (request === undefined || request.details.length >= detailsMax) {
      request = { firstId: one.id, place, minute: one.minute, details: [] };
      open.set(key, request);
      requests.push(request);
    }
    request.details.push(one);
  }
  return requests;
}

const detailNames: ReadonlySet<string> = new Set<keyof ReportDetail>([
  'state',
  'statusCode',
  'eventName',
  'eventType',
  'errorType',
]);

export function splitLabels(labels: string): { place: Partial<ReportPlace>; detail: Partial<ReportDetail> } {
  const entries = Object.entries(JSON.parse(labels) as ReportLabels);
  return {
    place: Object.fromEntries(entries.filter(([name]) => !detailNames.has(name))),
    detail: Object.fromEntries(entries.filter(([name]) => detailNames.has(name))),
  };
}

const emptyPlace: Partial<ReportPlace> = {
  workspaceId: '',
  sourceId: '',
  sourceDefinitionId: '',
  sourceCategory: '',
  sourceTaskRunId: '',
  sourceJobRunId: '',
  destinationId: '',
  DestinationDefinitionId: '',
  transformationId: '',
  transformationVersionId: '',
  trackingPlanId: '',
  trackingPlanVersion: 0,
  inReportedBy: '',
};

function bodyOf({ place, minute, details }: Request, namespace: string, instanceId: string): string {
  const reportedAt = minute * msPerMinute;
  const head = { ...emptyPlace, sourceJobId: '', ...place, namespace, instanceId, reportedAt, bucket: reportedAt };
  const reports = details.map(({ labels, count, sample, content }) => {
    const { detail } = splitLabels(labels);
    const { event, response } = exampleOf(sample);
    const about = {
      errorType: '',
      eventName: '',
      eventType: '',
      ...detail,
      count,
      violationCount: violationsOf(content),
      sampleResponse: response,
    };
    // An example is the event's own JSON, byte for byte.
    return `${JSON.stringify(about).slice(0, -1)},"sampleEvent":${event === '' ? '{}' : event}}`;
  });
  return `${JSON.stringify(head).slice(0, -1)},"reports":[${reports.join(',')}]}`;
}
