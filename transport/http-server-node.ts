// The HTTP listener over node:http: slower than uWebSockets.js by a factor of three to four, but always there.

import { strict as assert } from 'node:assert';
import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { TransportError } from './errors.ts';
import { ReadDeadlines } from './http-deadlines.ts';
import {
  announcesTooMuch,
  BodyReader,
  emptyBody,
  failedBody,
  HttpIntake,
  lateBody,
  lateHeaders,
  noHeaders,
  overloadedBody,
  overloadedHeaders,
  plainTextHeaders,
  toListenError,
} from './http-intake.ts';
import {
  bodyTimeoutMsDefault,
  type HttpHeaders,
  type HttpListenOptions,
  type HttpRequest,
  type HttpServer,
} from './http-server-contract.ts';
import { readTls } from './http-tls.ts';

/** The reference keeps idle connections for 12 minutes; clients behind load balancers rely on a long one. */
const keepAliveTimeoutMsDefault = 720_000;
const headersTimeoutMsDefault = 10_000;
const headerBytesMax = 64 * 1024;

export async function listenNode(options: HttpListenOptions, fallbackReason: string): Promise<HttpServer> {
  const intake = new HttpIntake(options);
  const headerNames = new Set(options.headerNames);
  const deadlines = new ReadDeadlines(options.bodyTimeoutMs ?? bodyTimeoutMsDefault);
  const server = openServer(options);
  // What is beyond node's own limit it leaves out silently, also the length of the body; the bytes are limited anyway.
  server.maxHeadersCount = 0;
  server.on('request', (message, response) => accept({ options, intake, headerNames, deadlines }, message, response));
  const port = await listen(server, options);
  return {
    engine: 'node',
    port,
    fallbackReason,
    get inFlight() {
      return intake.inFlight;
    },
    refuse: () => intake.refuse(),
    idle: () => intake.idle(),
    close: async () => {
      deadlines.stop();
      await close(server);
    },
  };
}

function openServer(options: HttpListenOptions): Server {
  if (options.proxyProtocol === true) {
    const message = 'expected the uws engine for the PROXY protocol, got node:http, which does not know it';
    throw new TransportError('HTTP_ENGINE_UNAVAILABLE', message);
  }
  const headersTimeout = options.headersTimeoutMs ?? headersTimeoutMsDefault;
  const serverOptions: ServerOptions = {
    keepAliveTimeout: options.keepAliveTimeoutMs ?? keepAliveTimeoutMsDefault,
    maxHeaderSize: headerBytesMax,
    headersTimeout,
    // Bodies have a deadline of their own (http-deadlines.ts), the same in both engines.
    requestTimeout: 0,
    connectionsCheckingInterval: Math.max(1, headersTimeout / 4),
  };
  return options.tls === undefined
    ? createServer(serverOptions)
    : createTlsServer({ ...serverOptions, ...readTls(options.tls) });
}

interface Listener {
  options: HttpListenOptions;
  intake: HttpIntake;
  headerNames: ReadonlySet<string>;
  deadlines: ReadDeadlines;
}

function accept(listener: Listener, message: IncomingMessage, response: ServerResponse): void {
  const { intake } = listener;
  if (intake.refusing) {
    // Answered after the body: closing a connection with unread bytes resets it, and the answer would be lost.
    message.on('end', () => write(response, 503, { ...overloadedHeaders, Connection: 'close' }, overloadedBody));
    message.resume();
    return;
  }
  if (intake.full) {
    write(response, 503, overloadedHeaders, overloadedBody);
    return;
  }
  new NodeExchange(listener, message, response).start();
}

/** One request. States: reading -> handling -> answered; `gone` may come in any of them. */
class NodeExchange implements HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  body: Buffer = emptyBody;
  bodyTooLarge = false;
  readonly #listener: Listener;
  readonly #message: IncomingMessage;
  readonly #response: ServerResponse;
  #reader: BodyReader | undefined;
  #state: 'reading' | 'handling' | 'answered' = 'reading';
  #gone = false;

  constructor(listener: Listener, message: IncomingMessage, response: ServerResponse) {
    this.#listener = listener;
    this.#message = message;
    this.#response = response;
    this.method = message.method ?? '';
    const url = message.url ?? '';
    const mark = url.indexOf('?');
    this.path = mark < 0 ? url : url.slice(0, mark);
    this.query = mark < 0 ? '' : url.slice(mark + 1);
  }

  get remoteAddress(): string {
    const address = this.#message.socket.remoteAddress ?? '';
    return address.startsWith('::ffff:') ? address.slice(7) : address;
  }

  header(name: string): string {
    assert(this.#listener.headerNames.has(name), `expected header "${name}" to be one of headerNames`);
    const value = this.#message.headers[name];
    if (value === undefined) return '';
    return typeof value === 'string' ? value : value.join(', ');
  }

  get allHeaders(): ReadonlyMap<string, string> {
    if (this.#listener.options.keepsAllHeaders?.(this.path) !== true) return noHeaders;
    const { headers } = this.#message;
    return new Map(Object.entries(headers).map(([name, value]) => [name, String(value)]));
  }

  start(): void {
    const { intake } = this.#listener;
    const { headers } = this.#message;
    intake.enter();
    this.#response.on('close', () => this.#closed());
    const contentLength = headers['content-length'] ?? '';
    if (announcesTooMuch(contentLength, intake.bodyBytesMax)) {
      this.#refuseBody();
    } else if (contentLength === '' && headers['transfer-encoding'] === undefined) {
      this.#handle();
    } else {
      this.#reader = new BodyReader(intake);
      this.#message.on('data', (chunk: Buffer) => this.#read(chunk));
      this.#message.on('end', () => this.#ended());
      this.#listener.deadlines.add(this);
    }
  }

  /** The rest of the body did not come in time. */
  expire(): void {
    if (this.#state !== 'reading') return;
    this.#state = 'handling';
    this.#message.resume();
    this.#respond(408, lateHeaders, lateBody);
  }

  #read(chunk: Buffer): void {
    if (this.#state !== 'reading') return;
    const verdict = this.#reader?.add(chunk);
    if (verdict === 'tooLarge') this.#refuseBody();
    if (verdict === 'overBudget') {
      this.#state = 'handling';
      this.#respond(503, overloadedHeaders, overloadedBody);
    }
  }

  #refuseBody(): void {
    this.bodyTooLarge = true;
    this.#message.resume();
    this.#handle();
  }

  #ended(): void {
    if (this.#state !== 'reading') return;
    this.body = this.#reader?.take() ?? emptyBody;
    this.#handle();
  }

  #handle(): void {
    this.#state = 'handling';
    this.#listener.deadlines.delete(this);
    try {
      this.#listener.options.handler(this, (status, headers, body) => this.#respond(status, headers, body));
    } catch (error) {
      this.#listener.options.onHandlerError(error);
      if (this.#state === 'handling') this.#respond(500, plainTextHeaders, failedBody);
    }
  }

  #respond(status: number, headers: HttpHeaders, body: string | Uint8Array): void {
    assert(this.#state === 'handling', 'expected a request to be answered once');
    this.#finish();
    if (!this.#gone) write(this.#response, status, headers, body);
  }

  #closed(): void {
    this.#gone = true;
    if (this.#state === 'reading') this.#finish();
  }

  #finish(): void {
    this.#state = 'answered';
    this.#listener.deadlines.delete(this);
    this.#reader?.release();
    this.#listener.intake.leave();
  }
}

function write(response: ServerResponse, status: number, headers: HttpHeaders, body: string | Uint8Array): void {
  const flat: string[] = [];
  for (const name in headers) flat.push(name, headers[name] ?? '');
  if (status !== 204) flat.push('Content-Length', String(Buffer.byteLength(body)));
  response.writeHead(status, flat);
  response.end(body);
}

async function listen(server: Server, options: HttpListenOptions): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    const failed = (error: Error) => reject(toListenError(error, options.host, options.port));
    server.once('error', failed);
    server.listen({ host: options.host, port: options.port }, () => {
      server.off('error', failed);
      resolve();
    });
  });
  const address = server.address();
  assert(address !== null && typeof address === 'object', 'expected a listening server to have an address');
  return address.port;
}

async function close(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
