// The admin server: health for orchestrators, status for people and scripts, metrics for Prometheus. On loopback, on
// a port of its own, and on main's loop, so that /livez answers exactly as long as that loop turns. It keeps no state and
// asks everything anew for each request: what it says is never older than the question. Further routes are brought by
// the parts of the program they speak of.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ActorLog, Clock } from '../../runtime/index.ts';
import { refuseAccess } from './access.ts';
import {
  type AdminAnswer,
  AdminError,
  type AdminRequest,
  type AdminRoute,
  adminBodyBytesMax,
  type ReadinessProbe,
  type ReadinessReason,
  type StatusReport,
} from './contract.ts';
import { AdminRoutes } from './routes.ts';
import { statusPage } from './status-page.ts';

/** A probe that does not answer within this time is a reason not to be ready. */
export const probeTimeoutMs = 1_000;
const connectionsMax = 256;
const requestTimeoutMs = 10_000;
const headerBytesMax = 16 * 1024;

export interface AdminServerOptions {
  host: string;
  /** 0 picks a free one. */
  port: number;
  log: ActorLog;
  clock: Clock;
  probes: readonly ReadinessProbe[];
  /** What the status is made of; readiness is added here. */
  status(): Promise<Omit<StatusReport, 'ready' | 'reasons'>>;
  /** Answers GET /metrics. */
  metrics(request: IncomingMessage, response: ServerResponse): void;
  /** Asked of every request but the health checks; '' asks nobody. */
  token?: string;
  routes?: readonly AdminRoute[];
}

export interface AdminServer {
  readonly port: number;
  readonly url: string;
  /** Ends idle connections at once and the others with their answer. */
  close(): Promise<void>;
}

export async function openAdminServer(options: AdminServerOptions): Promise<AdminServer> {
  const routes = new AdminRoutes([...ownRoutes(options), ...(options.routes ?? [])]);
  const server = createServer(
    { requestTimeout: requestTimeoutMs, maxHeaderSize: headerBytesMax },
    (request, response) => {
      handle(options, routes, request, response).catch((error: unknown) => {
        options.log.error({ error, url: request.url }, 'an admin request failed');
        if (response.headersSent) response.destroy();
        else sendJson(response, 500, { error: 'internal error, see the log' });
      });
    },
  );
  server.maxConnections = connectionsMax;
  const { address, port } = await listen(server, options.host, options.port);
  const host = address.includes(':') ? `[${address}]` : address;
  return { port, url: `http://${host}:${port}/`, close: () => close(server) };
}

/** All reasons not to be ready, by asking every probe at once. */
export async function checkReadiness(probes: readonly ReadinessProbe[], clock: Clock): Promise<ReadinessReason[]> {
  const answers = await Promise.all(probes.map((probe) => askProbe(probe, clock)));
  return answers.flatMap((reason, index) => {
    const probe = probes[index]?.name ?? '';
    return reason === undefined ? [] : [{ probe, reason }];
  });
}

function ownRoutes(options: AdminServerOptions): AdminRoute[] {
  const get = (path: string, doc: string, handler: AdminRoute['handle']): AdminRoute => ({
    method: 'GET',
    path,
    doc,
    handle: handler,
  });
  return [
    get('/', 'the status page', () => ({
      stream: (response) => void response.writeHead(200, statusPage.headers).end(statusPage.html),
    })),
    get('/livez', 'whether the process lives', () => text(200, 'alive')),
    get('/readyz', 'whether events are accepted and delivered', async () => {
      const reasons = await checkReadiness(options.probes, options.clock);
      return reasons.length === 0 ? text(200, 'ready') : { status: 503, json: { ready: false, reasons } };
    }),
    get('/status', 'everything the status page shows', async () => {
      const [status, reasons] = await Promise.all([options.status(), checkReadiness(options.probes, options.clock)]);
      return { status: 200, json: { ready: reasons.length === 0, reasons, ...status } };
    }),
  ];
}

async function handle(
  options: AdminServerOptions,
  routes: AdminRoutes,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  response.setHeader('Cache-Control', 'no-store');
  response.setHeader('X-Content-Type-Options', 'nosniff');
  const [path = '/', query = ''] = (request.url ?? '/').split('?', 2);
  const refusal = refuseAccess(request, path, options.token ?? '');
  if (refusal !== undefined) {
    for (const [name, value] of Object.entries(refusal.headers ?? {})) response.setHeader(name, value);
    sendJson(response, refusal.status, { error: refusal.error });
    return;
  }
  const method = request.method ?? 'GET';
  if (path === '/metrics' && (method === 'GET' || method === 'HEAD')) {
    options.metrics(request, response);
    return;
  }
  const found = routes.find(method, path);
  if ('route' in found) await answerRoute(found.route, requestOf(request, found.params, query), response);
  else refuseRoute(routes, found.allowed, response);
}

async function answerRoute(route: AdminRoute, request: AdminRequest, response: ServerResponse): Promise<void> {
  let answer: AdminAnswer;
  try {
    answer = await route.handle(request);
  } catch (error) {
    if (!(error instanceof AdminError)) throw error;
    answer = { status: error.status, json: { error: error.message } };
  }
  if ('stream' in answer) answer.stream(response);
  else if ('json' in answer) sendJson(response, answer.status, answer.json);
  else response.writeHead(answer.status, { 'Content-Type': answer.type }).end(answer.text);
}

function refuseRoute(routes: AdminRoutes, allowed: readonly string[], response: ServerResponse): void {
  if (allowed.length === 0) {
    sendJson(response, 404, { error: 'not found', paths: [...routes.paths, 'GET /metrics'] });
    return;
  }
  const methods = allowed.includes('GET') ? [...allowed, 'HEAD'] : allowed;
  response.setHeader('Allow', methods.join(', '));
  sendJson(response, 405, { error: `expected ${allowed.join(' or ')}` });
}

function requestOf(request: IncomingMessage, params: Readonly<Record<string, string>>, query: string): AdminRequest {
  const body = (bytesMax = adminBodyBytesMax): Promise<Buffer> => readBody(request, bytesMax);
  return {
    params,
    query: new URLSearchParams(query),
    body,
    json: async () => {
      const bytes = await body();
      if (bytes.byteLength === 0) return {};
      try {
        return JSON.parse(bytes.toString());
      } catch (error) {
        throw new AdminError(400, `expected the body to be JSON: ${error instanceof Error ? error.message : error}`);
      }
    },
  };
}

async function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw new AdminError(413, `expected a body of at most ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function askProbe(probe: ReadinessProbe, clock: Clock): Promise<string | undefined> {
  return new Promise((resolve) => {
    const timer = clock.setTimer(probeTimeoutMs, () => resolve(`gave no answer within ${probeTimeoutMs} ms`));
    const settle = (reason: string | undefined): void => {
      timer.cancel();
      resolve(reason);
    };
    const fail = (error: unknown): void => settle(error instanceof Error ? error.message : String(error));
    try {
      Promise.resolve(probe.check()).then(settle, fail);
    } catch (error) {
      fail(error);
    }
  });
}

function text(status: number, line: string): AdminAnswer {
  return { status, text: `${line}\n`, type: 'text/plain; charset=utf-8' };
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json; charset=utf-8' }).end(`${JSON.stringify(value)}\n`);
}

function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      const address = server.address();
      if (address === null || typeof address === 'string') reject(new Error('expected a TCP address'));
      else resolve(address);
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.close((error) => (error === undefined ? resolve() : reject(error)));
    server.closeIdleConnections();
  });
}
