// A control plane that is really there: an HTTP server with workspaces that tests change, in both forms (one workspace
// by token, a namespace with incremental updates), and whatever bad answer a test wants instead.

import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Cleanup } from './cleanup.ts';

export interface ControlPlaneWorkspace {
  workspaceId: string;
  updatedAt: string;
  sources: unknown[];
}

export type BadAnswer = (response: ServerResponse) => void;

export class TestControlPlane {
  readonly workspaces = new Map<string, ControlPlaneWorkspace>();
  /** What came, as `METHOD path?query`. */
  readonly requests: string[] = [];
  readonly authorizations: string[] = [];
  readonly token: string;
  /** Answers instead of what is asked for, as long as it is set. */
  bad: BadAnswer | undefined;
  /** More paths, for services that speak to the same server. */
  readonly routes = new Map<string, (request: IncomingMessage, response: ServerResponse, url: URL) => void>();
  notModified = 0;
  readonly #events = new EventEmitter();
  #url = '';
  #changes = 0;

  constructor(token = 'token-1') {
    this.token = token;
    this.#events.setMaxListeners(100);
  }

  get url(): string {
    return this.#url;
  }

  /** Every change has a newer moment than those before. */
  put(workspaceId: string, sources: unknown[]): void {
    this.#changes += 1;
    const updatedAt = new Date(Date.UTC(2026, 0, 1) + 1000 * this.#changes).toISOString();
    this.workspaces.set(workspaceId, { workspaceId, updatedAt, sources });
  }

  async listen(cleanup: Cleanup): Promise<void> {
    const server = createServer((request, response) => this.#answer(request, response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.#url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    cleanup.after(async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    });
  }

  /** Resolves when `count` requests more than now have been answered. */
  async answered(count = 1): Promise<void> {
    for (let left = count; left > 0; left -= 1) await once(this.#events, 'answered');
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '', 'http://control-plane');
    this.requests.push(`${request.method} ${request.url}`);
    this.authorizations.push(request.headers.authorization ?? '');
    response.on('close', () => this.#events.emit('answered'));
    const route = this.routes.get(url.pathname);
    if (this.bad !== undefined) this.bad(response);
    else if (request.headers.authorization !== `Basic ${Buffer.from(`${this.token}:`).toString('base64')}`) {
      response.writeHead(401).end('{}');
    } else if (route !== undefined) route(request, response, url);
    else if (url.pathname === '/workspaceConfig') this.#answerOne(request, response);
    else if (/^\/data-plane\/v1\/namespaces\/[^/]+\/config$/.test(url.pathname)) this.#answerMany(response, url);
    else response.writeHead(404).end('{}');
  }

  #answerOne(request: IncomingMessage, response: ServerResponse): void {
    const body = JSON.stringify([...this.workspaces.values()][0]);
    const etag = `"${this.#changes}"`;
    if (request.headers['if-none-match'] === etag) {
      this.notModified += 1;
      response.writeHead(304).end();
    } else response.writeHead(200, { etag, 'content-type': 'application/json' }).end(body);
  }

  #answerMany(response: ServerResponse, url: URL): void {
    const after = url.searchParams.get('updatedAfter') ?? '';
    const entries = [...this.workspaces].map(([id, workspace]) => [id, workspace.updatedAt > after ? workspace : null]);
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(Object.fromEntries(entries)));
  }
}

/** A source in the control plane's form. */
export function planeSource(id: string, changes: Record<string, unknown> = {}): Record<string, unknown> {
  return { id, writeKey: `wk-${id}`, sourceDefinition: { name: 'HTTP' }, destinations: [], ...changes };
}
