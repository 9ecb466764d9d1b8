// Every path of the gateway as data: what it is called in metrics, how it authenticates, which handler serves it and what
// it may answer. The routes themselves, cross-origin answers and the API's description are all made from this table, so
// that none of them can say something else than the others.

/**
 * How a request says whose it is. `internal`: by the admin token alone; `internal…`: by the token and something else. The
 * token comes as a bearer token or as the password of Basic authentication.
 */
export type RouteAuth =
  | 'none'
  | 'writeKey'
  | 'queryWriteKey'
  | 'webhook'
  | 'internal'
  | 'internalWriteKey'
  | 'internalSource'
  | 'internalReplay';

export type RouteHandler =
  | 'event'
  | 'batch'
  | 'beacon'
  | 'pixel'
  | 'webhook'
  | 'internalEvent'
  | 'retl'
  | 'replay'
  | 'internalBatch'
  | 'jobStatus'
  | 'deleteJobStatus'
  | 'failedRecords'
  | 'deleteFailedRecords'
  | 'drainJob'
  | 'warehouse'
  | 'health'
  | 'version'
  | 'robots'
  | 'docs'
  | 'openapi'
  | 'sourceConfig';

export interface GatewayRoute {
  /** Label in metrics; several paths may share one. */
  name: string;
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** `/a/:id`: `:id` stands for one segment. */
  path: string;
  auth: RouteAuth;
  handler: RouteHandler;
  /** Forced on the event of the route. */
  type?: string;
  doc: string;
  /** Statuses besides those that every route may answer (405, 500, 503). */
  answers: readonly number[];
  /** Of its successes. */
  contentType: string;
}

const text = 'text/plain; charset=utf-8';
const json = 'application/json; charset=utf-8';
const eventAnswers = [200, 400, 401, 404, 413, 429];
const internalAnswers = [400, 401, 404];
const eventTypes = ['identify', 'track', 'page', 'screen', 'group', 'alias', 'merge', 'audiencelist'];

export const gatewayRoutes: readonly GatewayRoute[] = [
  ...eventTypes.map((type): GatewayRoute => {
    const doc = `One event; its type is ${type}, whatever it says`;
    return event({ name: type, path: `/v1/${type}`, auth: 'writeKey', handler: 'event', type, doc });
  }),
  event({ name: 'batch', path: '/v1/batch', auth: 'writeKey', handler: 'batch', doc: 'Several events of any type' }),
  event({ name: 'import', path: '/v1/import', auth: 'writeKey', handler: 'batch', doc: 'The same for past events' }),
  event({
    name: 'beacon',
    path: '/beacon/v1/batch',
    auth: 'queryWriteKey',
    handler: 'beacon',
    doc: 'Events of a page that is being left; the write key stands in the query',
  }),
  ...['track', 'page'].map((type): GatewayRoute => {
    const doc = `One ${type} event from the query of an image; the image comes whatever becomes of it`;
    const route = { name: 'pixel', path: `/pixel/v1/${type}`, auth: 'queryWriteKey', handler: 'pixel', type } as const;
    return { ...route, method: 'GET', doc, answers: [200], contentType: 'image/gif' };
  }),
  event({ name: 'webhook', path: '/v1/webhook', auth: 'webhook', handler: 'webhook', doc: 'What a third party posts' }),
  {
    ...event({ name: 'webhook', path: '/v1/webhook', auth: 'webhook', handler: 'webhook', doc: 'The same by GET' }),
    method: 'GET',
  },
  event({
    name: 'extract',
    path: '/internal/v1/extract',
    auth: 'internalWriteKey',
    handler: 'internalEvent',
    type: 'extract',
    doc: 'One extracted row, which needs no identity',
  }),
  event({
    name: 'audiencelist',
    path: '/internal/v1/audiencelist',
    auth: 'internalWriteKey',
    handler: 'internalEvent',
    type: 'audiencelist',
    doc: 'One audience list',
  }),
  event({
    name: 'retl',
    path: '/internal/v1/retl',
    auth: 'internalSource',
    handler: 'retl',
    doc: 'Records of reverse ETL, for one destination when X-Rudder-Destination-Id names it',
  }),
  event({
    name: 'replay',
    path: '/internal/v1/replay',
    auth: 'internalReplay',
    handler: 'replay',
    doc: 'Events that were received before, which keep the time of it',
  }),
  event({
    name: 'internal-batch',
    path: '/internal/v1/batch',
    auth: 'internal',
    handler: 'internalBatch',
    doc: 'Events that another gateway has checked, with their properties',
  }),
  {
    ...internal('job-status', 'GET', '/internal/v2/job-status/:job_run_id', 'jobStatus', 'Counters of one job run'),
    answers: [200, ...internalAnswers],
  },
  {
    ...internal(
      'job-status',
      'DELETE',
      '/internal/v2/job-status/:job_run_id',
      'deleteJobStatus',
      'Forgets a finished run',
    ),
    answers: [204, ...internalAnswers],
  },
  {
    ...internal(
      'failed-records',
      'GET',
      '/internal/v2/job-status/:job_run_id/failed-records',
      'failedRecords',
      'Records of one job run that were given up, in pages',
    ),
    answers: [200, ...internalAnswers],
  },
  {
    ...internal(
      'failed-records',
      'DELETE',
      '/internal/v2/job-status/:job_run_id/failed-records',
      'deleteFailedRecords',
      'Forgets them',
    ),
    answers: [204, ...internalAnswers],
  },
  {
    ...internal(
      'drain-job',
      'PUT',
      '/internal/drain/job/:job_run_id',
      'drainJob',
      'Gives up what is left of a job run',
    ),
    answers: [201, ...internalAnswers],
  },
  ...['GET fetch-tables', 'POST pending-events', 'POST trigger-upload', 'POST jobs', 'GET jobs/status'].map(warehouse),
  open('health', '/health', 'health', 'Whether events are taken', json),
  open('health', '/', 'health', 'The same', json),
  open('version', '/version', 'version', 'Which build this is', json),
  open('robots', '/robots.txt', 'robots', 'Keeps search engines out', text),
  open('docs', '/docs', 'docs', 'This description, for people', 'text/html; charset=utf-8'),
  open('docs', '/docs/openapi.json', 'openapi', 'This description, as OpenAPI 3.1', json),
  sourceConfig('/sourceConfig'),
  sourceConfig('/sourceConfig/'),
];

function event(route: Omit<GatewayRoute, 'method' | 'answers' | 'contentType'>): GatewayRoute {
  return { ...route, method: 'POST', answers: eventAnswers, contentType: text };
}

function internal(
  name: string,
  method: GatewayRoute['method'],
  path: string,
  handler: RouteHandler,
  doc: string,
): Omit<GatewayRoute, 'answers'> {
  return { name, method, path, auth: 'internal', handler, doc, contentType: json };
}

/** Served in the reference by another program; whoever asks shall know that there is none, not look for a typing error. */
function warehouse(methodAndPath: string): GatewayRoute {
  const [method = '', path = ''] = methodAndPath.split(' ');
  const route = internal(
    'warehouse',
    method as 'GET' | 'POST',
    `/internal/v1/warehouse/${path}`,
    'warehouse',
    'Not here',
  );
  return { ...route, answers: [401, 501] };
}

function open(name: string, path: string, handler: RouteHandler, doc: string, contentType: string): GatewayRoute {
  return { name, method: 'GET', path, auth: 'none', handler, doc, answers: [200], contentType };
}

function sourceConfig(path: string): GatewayRoute {
  const doc = 'What a browser SDK asks for before it sends anything; the write key may stand in the query';
  const route = { name: 'source-config', method: 'GET', path, auth: 'writeKey', handler: 'sourceConfig' } as const;
  return { ...route, doc, answers: [200, 401, 404], contentType: json };
}

export interface FoundRoute {
  route: GatewayRoute;
  /** Values of the `:name` segments, decoded. */
  params: Readonly<Record<string, string>>;
}

/** Finds routes by path; those without parameters, which are nearly all requests, by one look-up. */
export class RouteIndex {
  readonly #exact = new Map<string, GatewayRoute[]>();
  readonly #patterns: { segments: readonly string[]; route: GatewayRoute }[] = [];

  constructor(routes: readonly GatewayRoute[]) {
    for (const route of routes) {
      if (route.path.includes('/:')) this.#patterns.push({ segments: route.path.split('/'), route });
      else this.#exact.set(route.path, [...(this.#exact.get(route.path) ?? []), route]);
    }
  }

  /** All methods of a path; none: it is unknown. */
  find(path: string): FoundRoute[] {
    const exact = this.#exact.get(path);
    if (exact !== undefined) return exact.map((route) => ({ route, params: {} }));
    const segments = path.split('/');
    return this.#patterns.flatMap(({ segments: pattern, route }) => {
      const params = matchSegments(pattern, segments);
      return params === undefined ? [] : [{ route, params }];
    });
  }
}

function matchSegments(pattern: readonly string[], segments: readonly string[]): Record<string, string> | undefined {
  if (pattern.length !== segments.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, expected] of pattern.entries()) {
    const segment = segments[index] ?? '';
    if (!expected.startsWith(':')) {
      if (segment !== expected) return undefined;
      continue;
    }
    const value = decodeSegment(segment);
    if (value === undefined || value === '') return undefined;
    params[expected.slice(1)] = value;
  }
  return params;
}

/** Undefined when the percent encoding is broken: such a path means nothing. */
function decodeSegment(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}
