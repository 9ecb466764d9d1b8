// Which path does what, cross-origin answers for browsers, and the counting of every answer.

import type { Clock, Counter, Histogram, Metrics } from '../../runtime/index.ts';
import type { HttpHeaders, HttpRequest, Respond } from '../../transport/index.ts';
import { type Answer, answers, methodNotAllowed } from './answers.ts';
import { type Ingest, ingestHeaderNames } from './ingest.ts';

export const requestHeaderNames: readonly string[] = [
  ...ingestHeaderNames,
  'origin',
  'access-control-request-method',
  'access-control-request-headers',
];

interface EventRoute {
  /** Label of the route in metrics. */
  name: string;
  /** Type forced on the single event; undefined: a batch, whose events keep theirs. */
  type: string | undefined;
}

const eventTypes = ['identify', 'track', 'page', 'screen', 'group', 'alias', 'merge'];
const eventRoutes: ReadonlyMap<string, EventRoute> = new Map([
  ['/v1/batch', { name: 'batch', type: undefined }],
  ...eventTypes.map((type): [string, EventRoute] => [`/v1/${type}`, { name: type, type }]),
]);

/** One request in this many is timed: enough for percentiles, and the clock stays out of the others' way. */
const timedOneIn = 16;
const byteBounds = [256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304];

export interface RoutesOptions {
  ingest: Ingest;
  health(): Answer;
  metrics: Metrics;
  clock: Clock;
}

export class Routes {
  readonly #options: RoutesOptions;
  readonly #requests: Counter;
  readonly #latency: Histogram;
  readonly #bodyBytes: Histogram;
  #sequence = 0;

  constructor(options: RoutesOptions) {
    this.#options = options;
    const { metrics } = options;
    this.#requests = metrics.counter('sluice_gateway_requests_total', 'Requests answered, by route and status');
    this.#latency = metrics.histogram('sluice_gateway_request_ms', 'Time from a request read to its answer, one in 16');
    this.#bodyBytes = metrics.histogram(
      'sluice_gateway_body_bytes',
      'Request bodies as received, one in 16',
      byteBounds,
    );
  }

  handle(request: HttpRequest, respond: Respond): void {
    if (request.method === 'OPTIONS') {
      respond(204, preflightHeaders(request), '');
      this.#count('options', 204);
      return;
    }
    const route = eventRoutes.get(request.path);
    if (route === undefined) this.#handleOther(request, respond);
    else if (request.method !== 'POST') this.#answer(request, respond, route.name, methodNotAllowed('POST'));
    else this.#handleEvents(request, respond, route);
  }

  #handleEvents(request: HttpRequest, respond: Respond, route: EventRoute): void {
    this.#sequence += 1;
    const startMs = this.#sequence % timedOneIn === 0 ? this.#options.clock.monotonicMs() : -1;
    if (startMs >= 0) this.#bodyBytes.record(request.body.byteLength);
    this.#options.ingest.accept(request, route.type, (answer) => {
      this.#answer(request, respond, route.name, answer);
      if (startMs >= 0) this.#latency.record(this.#options.clock.monotonicMs() - startMs);
    });
  }

  #handleOther(request: HttpRequest, respond: Respond): void {
    const isHealth = request.path === '/health' || request.path === '/';
    if (!isHealth) this.#answer(request, respond, 'unknown', answers.unknownRoute);
    else if (request.method !== 'GET' && request.method !== 'HEAD') {
      this.#answer(request, respond, 'health', methodNotAllowed('GET'));
    } else this.#answer(request, respond, 'health', this.#options.health());
  }

  #answer(request: HttpRequest, respond: Respond, route: string, answer: Answer): void {
    const origin = request.header('origin');
    respond(
      answer.status,
      origin === '' ? answer.headers : { ...answer.headers, ...crossOriginHeaders(origin) },
      answer.body,
    );
    this.#count(route, answer.status);
  }

  #count(route: string, status: number): void {
    this.#requests.add(1, { route, status: String(status) });
  }
}

function crossOriginHeaders(origin: string): HttpHeaders {
  return {
    'Access-Control-Allow-Origin': origin,
    'Access-Control-Allow-Credentials': 'true',
    Vary: 'Origin',
  };
}

/** Any origin, method and header a browser asks for is allowed: the write key is what protects a source. */
function preflightHeaders(request: HttpRequest): HttpHeaders {
  const origin = request.header('origin');
  if (origin === '') return { Allow: 'POST, OPTIONS' };
  const headers: Record<string, string> = {
    ...crossOriginHeaders(origin),
    'Access-Control-Allow-Methods': 'GET, POST, HEAD',
    'Access-Control-Max-Age': '900',
    Vary: 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers',
  };
  const asked = request.header('access-control-request-headers');
  if (asked !== '') headers['Access-Control-Allow-Headers'] = asked;
  return headers;
}
