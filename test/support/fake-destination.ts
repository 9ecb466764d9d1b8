// A destination that is really there: an HTTP server that keeps every request in order of arrival and answers what the
// test says, per path, user, attempt or moment. Waiting is on arrivals, never on time.

import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Cleanup, lastFirst } from './cleanup.ts';
import { within } from './poll.ts';

export interface Delivery {
  path: string;
  method: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
  idempotencyKey: string;
  /** 1 for the first request with this idempotency key. */
  attempt: number;
  receivedAtMs: number;
  /** Status that was answered; 0 as long as none was. */
  status: number;
}

/** A status, or a status with a body. */
export type Answer = number | { status: number; body?: string; headers?: Record<string, string> };

/** The event fields that tests use; the rest is in `body`. */
export interface DeliveredEvent {
  type: string;
  userId: string;
  messageId: string;
  event: string;
  sequence: number;
}

export class FakeDestination {
  /** Every request, in order of arrival. */
  readonly deliveries: Delivery[] = [];
  readonly connections = { open: 0, total: 0 };
  readonly #server: Server;
  readonly #events = new EventEmitter({ captureRejections: false });
  readonly #attempts = new Map<string, number>();
  #decide: (delivery: Delivery) => Answer | Promise<Answer> = () => 200;

  constructor() {
    this.#events.setMaxListeners(100);
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const delivery = this.#record(request.url ?? '', request.method ?? '', request.headers, Buffer.concat(chunks));
        Promise.resolve(this.#decide(delivery)).then(
          (answer) => {
            const { status, body = '', headers = {} } = typeof answer === 'number' ? { status: answer } : answer;
            delivery.status = status;
            response.writeHead(status, { 'content-type': 'text/plain', ...headers }).end(body);
            this.#events.emit('answered');
          },
          (error: unknown) => response.writeHead(599).end(String(error)),
        );
      });
    });
    this.#server.on('connection', (socket) => {
      this.connections.open += 1;
      this.connections.total += 1;
      socket.on('close', () => {
        this.connections.open -= 1;
      });
    });
  }

  async listen(port = 0): Promise<void> {
    this.#server.listen(port, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  url(path = '/'): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}${path}`;
  }

  /** From now on; until then everything is answered with 200. */
  respond(decide: (delivery: Delivery) => Answer | Promise<Answer>): void {
    this.#decide = decide;
  }

  /** Requests that were answered with success, on one path or on all. */
  accepted(path?: string): Delivery[] {
    return this.deliveries.filter(({ status, path: at }) => status >= 200 && status < 300 && (path ?? at) === at);
  }

  /** Resolves once `holds`; asked again after every answer. */
  async waitFor(what: string, holds: () => boolean, deadlineMs = 60_000): Promise<void> {
    if (holds()) return;
    const happened = new Promise<void>((resolve) => {
      const look = (): void => {
        if (!holds()) return;
        this.#events.off('answered', look);
        resolve();
      };
      this.#events.on('answered', look);
    });
    const got = (): string => `${what} (got ${this.deliveries.length} requests, ${this.accepted().length} accepted)`;
    await within(got, deadlineMs, happened);
  }

  /** Until this many different deliveries (by idempotency key) were accepted. */
  async waitForAccepted(count: number, deadlineMs?: number): Promise<void> {
    const distinct = new Set<string>();
    let seen = 0;
    const holds = (): boolean => {
      // Answers come almost in order of arrival: what is not answered yet is looked at again.
      while (seen < this.deliveries.length && this.deliveries[seen]?.status !== 0) {
        const delivery = this.deliveries[seen];
        if (delivery !== undefined && delivery.status < 300) distinct.add(delivery.idempotencyKey);
        seen += 1;
      }
      return distinct.size >= count;
    };
    await this.waitFor(`${count} accepted deliveries`, holds, deadlineMs);
  }

  #record(path: string, method: string, headers: IncomingHttpHeaders, body: Buffer): Delivery {
    const idempotencyKey = String(headers['idempotency-key'] ?? '');
    const attempt = (this.#attempts.get(idempotencyKey) ?? 0) + 1;
    this.#attempts.set(idempotencyKey, attempt);
    const delivery = { path, method, headers, body, idempotencyKey, attempt, receivedAtMs: Date.now(), status: 0 };
    this.deliveries.push(delivery);
    return delivery;
  }
}

export async function startDestination(cleanup: Cleanup): Promise<FakeDestination> {
  const destination = new FakeDestination();
  await destination.listen();
  lastFirst(cleanup).after(() => destination.close());
  return destination;
}

/** The delivered event; `sequence` comes from properties or traits, where order tests put it. */
export function eventOf(delivery: Delivery): DeliveredEvent {
  const event = JSON.parse(delivery.body.toString('utf8'));
  return {
    type: String(event.type ?? ''),
    userId: String(event.userId ?? ''),
    messageId: String(event.messageId ?? ''),
    event: String(event.event ?? ''),
    sequence: Number(event.properties?.sequence ?? event.traits?.sequence ?? -1),
  };
}
