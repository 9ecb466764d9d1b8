// The HTTP listener over uWebSockets.js (uws-module.ts), the engine the gateway prefers.
//
// Rules of the engine this file obeys: a request object is dead after its callback, chunks are dead after theirs, a
// response object is dead after `end` or `onAborted`, and writes are corked. A client that pipelines a request while
// an asynchronous answer is still due has its connection closed by the engine; it must send again.
//
// The engine closes connections by itself that are silent for 10 s, whose headers take longer than that, or whose bodies
// come at less than 16 KiB in 10 s; none of this can be set. It answers 505 to HTTP/1.0, takes the first of several
// Content-Length headers and any Transfer-Encoding for "chunked": what does not say plainly where its body ends is refused
// here, because a proxy before us might see another end, and with it other requests.

import { strict as assert } from 'node:assert';
import { STATUS_CODES } from 'node:http';
import { createServer } from 'node:net';
import type { TransportError } from './errors.ts';
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
import { formatAddress } from './remote-address.ts';
import type { UwsApp, UwsModule, UwsRequest, UwsResponse } from './uws-module.ts';

export async function listenUws(uws: UwsModule, options: HttpListenOptions): Promise<HttpServer> {
  const intake = new HttpIntake(options);
  const headerIndex = new Map(options.headerNames.map((name, index) => [name, index]));
  const deadlines = new ReadDeadlines(options.bodyTimeoutMs ?? bodyTimeoutMsDefault);
  const listener: Listener = { options, intake, headerIndex, deadlines };
  const app = openApp(uws, options);
  app.any('/*', (response, request) => accept(listener, response, request));
  const socket = await new Promise<unknown>((resolve) => {
    app.listen(options.host, options.port, uws.LIBUS_LISTEN_EXCLUSIVE_PORT, resolve);
  });
  if (socket === false) throw await explainListenFailure(options.host, options.port);
  return {
    engine: 'uws',
    port: uws.us_socket_local_port(socket),
    fallbackReason: '',
    get inFlight() {
      return intake.inFlight;
    },
    refuse: () => intake.refuse(),
    idle: () => intake.idle(),
    close: async () => {
      deadlines.stop();
      app.close();
    },
  };
}

function openApp(uws: UwsModule, { tls }: HttpListenOptions): UwsApp {
  if (tls === undefined) return uws.App();
  readTls(tls);
  return uws.SSLApp({ cert_file_name: tls.certFile, key_file_name: tls.keyFile });
}

/** What has more is no number we could count to. */
const lengthDigitsMax = 15;

interface Listener {
  options: HttpListenOptions;
  intake: HttpIntake;
  headerIndex: ReadonlyMap<string, number>;
  deadlines: ReadDeadlines;
}

function accept(listener: Listener, response: UwsResponse, request: UwsRequest): void {
  const { intake } = listener;
  if (intake.refusing) {
    refuse(response);
  } else if (intake.full) {
    write(response, request.getCaseSensitiveMethod(), 503, overloadedHeaders, overloadedBody);
  } else {
    new UwsExchange(listener, response, request).start();
  }
}

function refuse(response: UwsResponse): void {
  // Answered after the body: closing a connection with unread bytes resets it, and the answer would be lost.
  response.onAborted(() => {});
  response.onData((_chunk, isLast) => {
    if (!isLast) return;
    response.cork(() => {
      writeHead(response, 503, overloadedHeaders);
      response.end(overloadedBody, true);
    });
  });
}

/** One request. States: reading -> handling -> answered; `gone` may come in any of them. */
class UwsExchange implements HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  body: Buffer = emptyBody;
  bodyTooLarge = false;
  readonly #listener: Listener;
  readonly #response: UwsResponse;
  /** By the place of their names; a name that comes twice counts where it comes first. */
  readonly #headers: string[];
  readonly #allHeaders: Map<string, string> | undefined;
  /** Where the body ends is in doubt. */
  #isAmbiguous = false;
  #contentLength = '';
  #reader: BodyReader | undefined;
  #state: 'reading' | 'handling' | 'answered' = 'reading';
  #gone = false;

  constructor(listener: Listener, response: UwsResponse, request: UwsRequest) {
    this.#listener = listener;
    this.#response = response;
    this.method = request.getCaseSensitiveMethod();
    this.path = request.getUrl();
    this.query = request.getQuery() ?? '';
    this.#headers = new Array<string>(listener.headerIndex.size).fill('');
    this.#allHeaders = listener.options.keepsAllHeaders?.(this.path) === true ? new Map() : undefined;
    this.#readHeaders(request);
  }

  /** '' once the client is gone: the engine forgets it then. */
  get remoteAddress(): string {
    if (this.#gone || this.#state === 'answered') return '';
    if (this.#listener.options.proxyProtocol === true) {
      const proxied = this.#response.getProxiedRemoteAddress();
      if (proxied.byteLength > 0) return formatAddress(new Uint8Array(proxied));
    }
    return formatAddress(new Uint8Array(this.#response.getRemoteAddress()));
  }

  header(name: string): string {
    const index = this.#listener.headerIndex.get(name);
    assert(index !== undefined, `expected header "${name}" to be one of headerNames`);
    return this.#headers[index] ?? '';
  }

  get allHeaders(): ReadonlyMap<string, string> {
    return this.#allHeaders ?? noHeaders;
  }

  start(): void {
    const { intake } = this.#listener;
    intake.enter();
    this.#response.onAborted(() => this.#closed());
    if (this.#isAmbiguous) {
      this.#finish();
      // No answer: the engine would write it, and go on to read what follows as a request.
      this.#response.close();
      return;
    }
    this.#response.onData((chunk, isLast) => this.#read(chunk, isLast));
    if (announcesTooMuch(this.#contentLength, intake.bodyBytesMax)) this.#refuseBody();
    else this.#listener.deadlines.add(this);
  }

  /** The rest of the body did not come in time. */
  expire(): void {
    if (this.#state !== 'reading') return;
    this.#state = 'handling';
    this.#finish();
    if (this.#gone) return;
    this.#response.cork(() => {
      writeHead(this.#response, 408, lateHeaders);
      this.#response.end(lateBody, true);
    });
  }

  /** One pass: a call into the engine for each name we know would cost more, and would not see a second value. */
  #readHeaders(request: UwsRequest): void {
    const { headerIndex } = this.#listener;
    let encodings = 0;
    let lengths = 0;
    request.forEach((name, value) => {
      const index = headerIndex.get(name);
      if (index !== undefined && this.#headers[index] === '') this.#headers[index] = value;
      if (name === 'content-length') {
        lengths += 1;
        this.#contentLength = value;
      } else if (name === 'transfer-encoding') {
        encodings += value.toLowerCase() === 'chunked' ? 1 : 2;
      }
      const known = this.#allHeaders?.get(name);
      this.#allHeaders?.set(name, known === undefined ? value : `${known}, ${value}`);
    });
    this.#isAmbiguous = lengths > 1 || encodings > 1 || this.#contentLength.length > lengthDigitsMax;
  }

  #read(chunk: ArrayBuffer, isLast: boolean): void {
    if (this.#state !== 'reading') return;
    if (chunk.byteLength > 0) {
      this.#reader ??= new BodyReader(this.#listener.intake);
      const verdict = this.#reader.admit(chunk.byteLength);
      if (verdict === 'tooLarge') {
        this.#refuseBody();
        return;
      }
      if (verdict === 'overBudget') {
        this.#state = 'handling';
        this.#respond(503, overloadedHeaders, overloadedBody);
        return;
      }
      if (isLast && this.#reader.isEmpty) {
        this.#handleWhole(chunk);
        return;
      }
      this.#reader.append(copyOf(chunk));
    }
    if (!isLast) return;
    this.body = this.#reader?.take() ?? emptyBody;
    this.#handle();
  }

  /** Nearly every body comes in one chunk, which lives as long as the handler runs: it needs no copy. */
  #handleWhole(chunk: ArrayBuffer): void {
    this.body = Buffer.from(chunk);
    this.#handle();
    this.body = emptyBody;
  }

  #refuseBody(): void {
    this.bodyTooLarge = true;
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
    if (!this.#gone) write(this.#response, this.method, status, headers, body);
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

function copyOf(chunk: ArrayBuffer): Buffer {
  const copy = Buffer.allocUnsafe(chunk.byteLength);
  copy.set(new Uint8Array(chunk));
  return copy;
}

function write(
  response: UwsResponse,
  method: string,
  status: number,
  headers: HttpHeaders,
  body: string | Uint8Array,
): void {
  response.cork(() => {
    writeHead(response, status, headers);
    if (status === 204) {
      response.endWithoutBody();
    } else if (method === 'HEAD') {
      // Given the length, endWithoutBody would leave the request open and break the next one on the connection.
      response.writeHeader('Content-Length', String(Buffer.byteLength(body)));
      response.endWithoutBody();
    } else {
      response.end(body);
    }
  });
}

function writeHead(response: UwsResponse, status: number, headers: HttpHeaders): void {
  // The engine writes 200 by itself.
  if (status !== 200) response.writeStatus(`${status} ${STATUS_CODES[status] ?? ''}`);
  for (const name in headers) response.writeHeader(name, headers[name] ?? '');
}

/** The engine does not say why it could not listen; node:net, asked for the same port, does. */
async function explainListenFailure(host: string, port: number): Promise<TransportError> {
  const probe = createServer();
  return await new Promise((resolve) => {
    probe.once('error', (error) => resolve(toListenError(error, host, port)));
    probe.listen({ host, port }, () => {
      probe.close(() => resolve(toListenError(new Error('an engine that refused the address'), host, port)));
    });
  });
}
