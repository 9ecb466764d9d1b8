// Serves the paths of route-table.ts: finds the route, lets the right part of the gateway answer, adds what browsers of
// other origins need, and counts every answer. Events of the common routes are found by one look-up and go straight on.

import type { Clock, Counter, Histogram, Metrics } from '../../runtime/index.ts';
import type { HttpHeaders, HttpRequest, Respond } from '../../transport/index.ts';
import { type Answer, answers, methodNotAllowed } from './answers.ts';
import { type AnswerWith, type Feed, type Ingest, ingestHeaderNames } from './ingest.ts';
import { pixelGif } from './pixel.ts';
import { type FoundRoute, type GatewayRoute, gatewayRoutes, RouteIndex } from './route-table.ts';

export const requestHeaderNames: readonly string[] = [
  ...ingestHeaderNames,
  'origin',
  'access-control-request-method',
  'access-control-request-headers',
  'x-rudder-source-id',
  'x-rudder-destination-id',
  'x-batch-size',
];

/** Answers a request of one of the rarer routes; called once. */
export type OtherRoutes = (found: FoundRoute, request: HttpRequest, answerWith: AnswerWith) => void;

interface EventRoute {
  /** Label of the route in metrics. */
  name: string;
  feed: Feed;
}

/** The hot ones: with the write key by Basic authentication. */
const eventRoutes: ReadonlyMap<string, EventRoute> = new Map(
  gatewayRoutes
    .filter(({ handler }) => handler === 'event' || handler === 'batch')
    .map(({ path, name, type }): [string, EventRoute] => [path, { name, feed: { type } }]),
);

/** One request in this many is timed: enough for percentiles, and the clock stays out of the others' way. */
const timedOneIn = 16;
const byteBounds = [256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304];

export interface RoutesOptions {
  ingest: Ingest;
  others: OtherRoutes;
  /** Whether there is an admin token: without one, paths of /internal do not exist. */
  internalOpen: boolean;
  metrics: Metrics;
  clock: Clock;
}

export class Routes {
  readonly #options: RoutesOptions;
  readonly #index: RouteIndex;
  readonly #requests: Counter;
  readonly #latency: Histogram;
  readonly #bodyBytes: Histogram;
  #sequence = 0;

  constructor(options: RoutesOptions) {
    this.#options = options;
    const { metrics, internalOpen } = options;
    this.#index = new RouteIndex(gatewayRoutes.filter(({ auth }) => internalOpen || !auth.startsWith('internal')));
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
      respond(204, this.#preflightHeaders(request), '');
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
    this.#options.ingest.accept(request, route.feed, (answer) => {
      this.#answer(request, respond, route.name, answer);
      if (startMs >= 0) this.#latency.record(this.#options.clock.monotonicMs() - startMs);
    });
  }

  #handleOther(request: HttpRequest, respond: Respond): void {
    const known = this.#index.find(request.path);
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    const found = known.find(({ route }) => route.method === method);
    const [first] = known;
    if (first === undefined) {
      this.#answer(request, respond, 'unknown', answers.unknownRoute);
    } else if (found === undefined) {
      const allowed = known.map(({ route }) => route.method).join(', ');
      this.#answer(request, respond, first.route.name, methodNotAllowed(allowed));
    } else if (found.route.handler === 'pixel') {
      this.#options.others(found, request, (answer) => {
        // Counted by what became of the event; whoever shows the image cannot know.
        this.#count(found.route.name, answer.status);
        respond(200, this.#withOrigin(request, pixelHeaders), pixelGif);
      });
    } else {
      this.#options.others(found, request, (answer) => this.#answer(request, respond, found.route.name, answer));
    }
  }

  #answer(request: HttpRequest, respond: Respond, route: string, answer: Answer): void {
    respond(answer.status, this.#withOrigin(request, answer.headers), answer.body);
    this.#count(route, answer.status);
  }

  #withOrigin(request: HttpRequest, headers: HttpHeaders): HttpHeaders {
    const origin = request.header('origin');
    return origin === '' ? headers : { ...headers, ...crossOriginHeaders(origin) };
  }

  #count(route: string, status: number): void {
    this.#requests.add(1, { route, status: String(status) });
  }

  /** Any origin and header a browser asks for is allowed: the write key is what protects a source. */
  #preflightHeaders(request: HttpRequest): HttpHeaders {
    const methods = methodsOf(this.#index.find(request.path).map(({ route }) => route));
    const origin = request.header('origin');
    if (origin === '') return { Allow: `${methods}, OPTIONS` };
    const headers: Record<string, string> = {
      ...crossOriginHeaders(origin),
      'Access-Control-Allow-Methods': methods,
      'Access-Control-Max-Age': '900',
      Vary: 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers',
    };
    const asked = request.header('access-control-request-headers');
    if (asked !== '') headers['Access-Control-Allow-Headers'] = asked;
    return headers;
  }
}

const pixelHeaders: HttpHeaders = { 'Content-Type': 'image/gif', 'Cache-Control': 'no-store' };

/** The reference's list for a path we do not have, so that its 404 can be read by the page. */
function methodsOf(routes: readonly GatewayRoute[]): string {
  const methods: string[] = [...new Set(routes.map(({ method }) => method))];
  if (methods.length === 0) return 'GET, POST, HEAD';
  return (methods.includes('GET') ? [...methods, 'HEAD'] : methods).join(', ');
}

function crossOriginHeaders(origin: string): HttpHeaders {
  return {
    'Access-Control-Allow-Origin': origin,
    'Access-Control-Allow-Credentials': 'true',
    Vary: 'Origin',
  };
}
