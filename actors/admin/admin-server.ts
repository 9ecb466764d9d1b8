// The admin server: health for orchestrators, status for people and scripts, metrics for Prometheus. On loopback, on
// a port of its own, and on main's loop, so that /livez answers exactly as long as that loop turns. It reads no bodies,
// keeps no state, and asks everything anew for each request: what it says is never older than the question.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ActorLog, Clock } from '../../runtime/index.ts';
import type { ReadinessProbe, ReadinessReason, StatusReport } from './contract.ts';
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
}

export interface AdminServer {
  readonly port: number;
  readonly url: string;
  /** Ends idle connections at once and the others with their answer. */
  close(): Promise<void>;
}

export async function openAdminServer(options: AdminServerOptions): Promise<AdminServer> {
  const server = createServer(
    { requestTimeout: requestTimeoutMs, maxHeaderSize: headerBytesMax },
    (request, response) => {
      handle(options, request, response).catch((error: unknown) => {
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

async function handle(options: AdminServerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.setHeader('Cache-Control', 'no-store');
  response.setHeader('X-Content-Type-Options', 'nosniff');
  if (!isLoopbackName(request.headers.host)) {
    // A web page could otherwise point a name of its own at this machine and read the status through the browser.
    sendJson(response, 421, { error: 'expected the host of the request to be this machine (localhost or 127.0.0.1)' });
    return;
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD');
    sendJson(response, 405, { error: 'expected GET' });
    return;
  }
  const path = (request.url ?? '/').split('?', 1)[0];
  switch (path) {
    case '/':
      response.writeHead(200, statusPage.headers).end(statusPage.html);
      return;
    case '/livez':
      sendText(response, 200, 'alive');
      return;
    case '/readyz': {
      const reasons = await checkReadiness(options.probes, options.clock);
      if (reasons.length === 0) sendText(response, 200, 'ready');
      else sendJson(response, 503, { ready: false, reasons });
      return;
    }
    case '/status': {
      const [status, reasons] = await Promise.all([options.status(), checkReadiness(options.probes, options.clock)]);
      sendJson(response, 200, { ready: reasons.length === 0, reasons, ...status });
      return;
    }
    case '/metrics':
      options.metrics(request, response);
      return;
    default:
      sendJson(response, 404, { error: 'not found', paths: ['/', '/livez', '/readyz', '/status', '/metrics'] });
  }
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

function isLoopbackName(host: string | undefined): boolean {
  return host !== undefined && /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?$/i.test(host);
}

function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' }).end(`${text}\n`);
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
