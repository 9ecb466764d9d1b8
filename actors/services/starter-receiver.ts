// The destination of the starter workspace: a small HTTP server on loopback that prints one line for each event it is
// sent, so that the first delivered event can be seen. Not for production, and not started once a workspace file of
// one's own is configured.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Clock } from '../../runtime/index.ts';

const bodyBytesMax = 8 * 1024 * 1024;
const fieldCharactersMax = 80;

export interface StarterReceiverOptions {
  /** 0 picks a free one. */
  port: number;
  clock: Clock;
  /** Takes one line with its line end. */
  print(line: string): void;
}

export interface StarterReceiver {
  readonly port: number;
  close(): Promise<void>;
}

export function openStarterReceiver(options: StarterReceiverOptions): Promise<StarterReceiver> {
  const server = createServer((request, response) => {
    receive(request, response, (body) => options.print(`${describeDelivery(body, options.clock.nowMs())}\n`));
  });
  const close = (): Promise<void> =>
    new Promise((resolve, reject) => {
      server.close((error) => (error === undefined ? resolve() : reject(error)));
      // Deliveries are over when this is called: what is still open are idle keep-alive connections of the router.
      server.closeAllConnections();
    });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port: options.port }, () => {
      server.off('error', reject);
      const { port } = server.address() as AddressInfo;
      resolve({ port, close });
    });
  });
}

/** `12:30:05.120  track  "Order Completed"  user u-1  message 4f…`: whatever of it the body has. */
export function describeDelivery(body: string, nowMs: number): string {
  const moment = new Date(nowMs);
  const time = `${moment.toTimeString().slice(0, 8)}.${String(moment.getMilliseconds()).padStart(3, '0')}`;
  const event = parseTable(body);
  if (event === undefined) return `${time}  delivered  ${Buffer.byteLength(body)} bytes`;
  const name = readText(event.event) ?? readText(event.name);
  const user = readText(event.userId);
  const anonymous = readText(event.anonymousId);
  const message = readText(event.messageId);
  const parts = [time, readText(event.type) ?? 'event'];
  if (name !== undefined) parts.push(`"${name}"`);
  if (user !== undefined) parts.push(`user ${user}`);
  else if (anonymous !== undefined) parts.push(`anonymous ${anonymous}`);
  if (message !== undefined) parts.push(`message ${message}`);
  return parts.join('  ');
}

function receive(request: IncomingMessage, response: ServerResponse, take: (body: string) => void): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.byteLength;
    if (bytes <= bodyBytesMax) chunks.push(chunk);
  });
  request.on('end', () => {
    if (bytes > bodyBytesMax) {
      response.writeHead(413).end('too large\n');
      return;
    }
    take(Buffer.concat(chunks).toString('utf8'));
    response.writeHead(200, { 'Content-Type': 'text/plain' }).end('ok\n');
  });
  // The sender went away: it will send again, and there is nothing to print.
  request.on('error', () => response.destroy());
}

function parseTable(body: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

/** Fit for a terminal: no control characters, which could move its cursor or worse, and not endless. */
function readText(value: unknown): string | undefined {
  if (typeof value !== 'string' || value === '') return undefined;
  const visible = value.replace(/\p{C}/gu, '?');
  return visible.length <= fieldCharactersMax ? visible : `${visible.slice(0, fieldCharactersMax)}…`;
}
