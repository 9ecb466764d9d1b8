// The description of the gateway's API, made from its route table: OpenAPI 3.1 for programs, one page for people.

import { type Answer, jsonAnswer, textAnswer } from './answers.ts';
import { type GatewayRoute, gatewayRoutes, type RouteAuth } from './route-table.ts';

const statusTexts: Readonly<Record<number, string>> = {
  200: 'Accepted: the events are committed',
  201: 'Noted',
  204: 'Done',
  400: 'The request, or one of its events, can never be accepted; good events of the same batch are stored',
  401: 'The write key, source id or admin token is missing or wrong',
  404: 'The source or destination is disabled, or what was asked for is not there',
  405: 'The path does not know this method',
  408: 'The request did not arrive in time',
  413: 'More bytes or events than one request may carry',
  429: 'Too many events; see Retry-After',
  500: 'The body could not be read, or a fault of ours',
  501: 'Sluice has no such service',
  503: 'Not now; see Retry-After',
};
const everywhere = [408, 500, 503];

const securityOf: Readonly<Record<RouteAuth, readonly Record<string, readonly string[]>[]>> = {
  none: [],
  writeKey: [{ writeKey: [] }],
  queryWriteKey: [{ writeKeyInQuery: [] }],
  webhook: [{ writeKeyInQuery: [] }, { writeKey: [] }],
  internal: [{ adminToken: [] }],
  internalWriteKey: [{ writeKey: [] }],
  internalSource: [{ adminToken: [], sourceId: [] }],
  internalReplay: [{ adminToken: [], sourceId: [] }],
};

const eventSchema = {
  type: 'object',
  description: 'Any further members are kept as they are.',
  properties: {
    type: { type: 'string' },
    messageId: { type: 'string' },
    userId: { type: ['string', 'number', 'boolean', 'null'] },
    anonymousId: { type: ['string', 'number', 'boolean', 'null'] },
    originalTimestamp: { type: 'string' },
    sentAt: { type: 'string' },
    context: { type: 'object' },
  },
};

const verdictsSchema = {
  type: 'object',
  required: ['accepted', 'rejected', 'verdicts'],
  properties: {
    accepted: { type: 'integer' },
    rejected: { type: 'integer' },
    verdicts: {
      type: 'array',
      items: {
        type: 'object',
        required: ['index', 'messageId', 'ok'],
        properties: {
          index: { type: 'integer' },
          messageId: { type: 'string' },
          ok: { type: 'boolean' },
          reason: { type: 'string' },
        },
      },
    },
  },
};

export function openApiDocument() {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of gatewayRoutes) {
    const path = route.path.replaceAll(/:(\w+)/g, '{$1}');
    const operations = paths[path] ?? {};
    operations[route.method.toLowerCase()] = operationOf(route);
    paths[path] = operations;
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Sluice gateway',
      version: '1',
      description: 'Takes events over the RudderStack and Segment HTTP API. A 200 is sent after the commit.',
    },
    paths,
    components: {
      securitySchemes: {
        writeKey: { type: 'http', scheme: 'basic', description: 'The write key is the user name' },
        writeKeyInQuery: { type: 'apiKey', in: 'query', name: 'writeKey' },
        adminToken: { type: 'http', scheme: 'bearer', description: 'The setting admin.token' },
        sourceId: { type: 'apiKey', in: 'header', name: 'X-Rudder-Source-Id' },
      },
      schemas: {
        Event: eventSchema,
        Batch: {
          type: 'object',
          required: ['batch'],
          properties: { batch: { type: 'array', items: { $ref: '#/components/schemas/Event' } } },
        },
        Verdicts: verdictsSchema,
      },
    },
  };
}

function operationOf(route: GatewayRoute): Record<string, unknown> {
  const parameters = [...route.path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  const takesEvents = route.handler === 'event' || route.handler === 'batch' || route.handler === 'beacon';
  const verdicts = {
    name: 'X-Sluice-Verdicts',
    in: 'header',
    description: '1: the answer tells what became of each event',
    schema: { type: 'string' },
  };
  return {
    operationId: `${route.method.toLowerCase()}${route.path.replaceAll(/[^A-Za-z0-9]+/g, '-')}`,
    summary: route.doc,
    ...(securityOf[route.auth].length === 0 ? {} : { security: securityOf[route.auth] }),
    parameters: takesEvents ? [...parameters, verdicts] : parameters,
    ...(bodyOf(route) === undefined ? {} : { requestBody: bodyOf(route) }),
    responses: Object.fromEntries(
      [...new Set([...route.answers, ...everywhere])].sort().map((status) => [status, responseOf(route, status)]),
    ),
  };
}

function bodyOf(route: GatewayRoute): Record<string, unknown> | undefined {
  if (route.method !== 'POST') return undefined;
  const schema =
    route.handler === 'webhook'
      ? {}
      : route.handler === 'internalBatch'
        ? { type: 'array', items: { type: 'object', required: ['properties', 'payload'] } }
        : { $ref: `#/components/schemas/${route.type === undefined ? 'Batch' : 'Event'}` };
  return { required: true, content: { 'application/json': { schema } } };
}

function responseOf(route: GatewayRoute, status: number): Record<string, unknown> {
  const isSuccess = status < 300;
  const description =
    status === 200 && route.method === 'GET' ? 'What was asked for' : (statusTexts[status] ?? 'Another answer');
  if (status === 201 || status === 204) return { description };
  const type = (isSuccess ? route.contentType : 'text/plain').split(';', 1)[0] ?? '';
  const content: Record<string, unknown> = {
    [type]: { schema: type === 'application/json' ? { type: 'object' } : { type: 'string' } },
  };
  const mayTell = status === 200 || status === 400 || status === 413;
  if (mayTell && route.method === 'POST') {
    content['application/json'] = { schema: { $ref: '#/components/schemas/Verdicts' } };
  }
  return { description, content };
}

let openApi: Answer | undefined;
let docs: Answer | undefined;

export function openApiAnswer(): Answer {
  openApi ??= jsonAnswer(openApiDocument());
  return openApi;
}

export function docsAnswer(): Answer {
  docs ??= textAnswer(200, 'text/html; charset=utf-8', docsPage());
  return docs;
}

function docsPage(): string {
  const rows = gatewayRoutes.map(({ method, path, auth, doc, answers }) => {
    const cells = [method, path, authTexts[auth], doc, answers.join(', ')];
    return `<tr>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
  });
  const heads = ['Method', 'Path', 'Who', 'What', 'Answers'].map((head) => `<th>${head}</th>`).join('');
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Sluice gateway</title>
<style>body{font:16px/1.5 system-ui;margin:2rem}td,th{text-align:left;padding:.2rem 1rem .2rem 0;vertical-align:top}</style>
<h1>Sluice gateway</h1>
<p>For programs: <a href="/docs/openapi.json">OpenAPI 3.1</a>.</p>
<table><tr>${heads}</tr>
${rows.join('\n')}
</table>
</html>
`;
}

const authTexts: Readonly<Record<RouteAuth, string>> = {
  none: 'everybody',
  writeKey: 'write key (Basic user name)',
  queryWriteKey: 'write key (query)',
  webhook: 'write key of a webhook source (query or Basic user name)',
  internal: 'admin token',
  internalWriteKey: 'write key and admin token (Basic user name and password)',
  internalSource: 'admin token and X-Rudder-Source-Id',
  internalReplay: 'admin token and X-Rudder-Source-Id of a replay source',
};
