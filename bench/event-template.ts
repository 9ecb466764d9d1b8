// Events for the load generator: 1 KB by default, of one exact size, with content that does not compress, and with the
// two fields that change per request (message id and time of sending) at known places, so that sending costs no JSON.
// Message ids ascend and a user belongs to one connection, so whoever receives the events can tell their order.

import { randomBytes } from 'node:crypto';

const messageIdDigits = 20;
const timeDigits = 16;
const sentAtKey = '"sentAtMicros":"';

export interface RequestTemplate {
  bytes: Buffer;
  /** Where each event's message id begins; the digits are overwritten per request. */
  messageIdOffsets: number[];
  sentAtOffsets: number[];
}

export interface TemplateOptions {
  path: string;
  host: string;
  writeKey: string;
  eventBytes: number;
  /** 1 sends single events. */
  eventsPerRequest: number;
  /** Whose events these are: no two connections share a user. */
  connection: string;
  usersPerConnection: number;
}

const userIdKey = '"userId":"';
const messageIdKey = '"messageId":"';
const types = ['track', 'track', 'track', 'page', 'identify'];

export const batchPrefix = '{"batch":[';

export function createTemplate(options: TemplateOptions): RequestTemplate {
  const events = Array.from({ length: options.eventsPerRequest }, () => eventText(options));
  const body = options.eventsPerRequest === 1 ? (events[0] ?? '') : `${batchPrefix}${events.join(',')}]}`;
  const head = [
    `POST ${options.path} HTTP/1.1`,
    `Host: ${options.host}`,
    `Authorization: Basic ${Buffer.from(`${options.writeKey}:`).toString('base64')}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ].join('\r\n');
  const bytes = Buffer.from(`${head}\r\n\r\n${body}`, 'latin1');
  return {
    bytes,
    messageIdOffsets: offsetsAfter(bytes, messageIdKey),
    sentAtOffsets: offsetsAfter(bytes, sentAtKey),
  };
}

/** Overwrites ids from `nextId` on and the time; answers the next free id. */
export function fillTemplate(template: RequestTemplate, nextId: number, nowMicros: number): number {
  let id = nextId;
  for (const offset of template.messageIdOffsets) {
    writeDigits(template.bytes, offset, messageIdDigits, id);
    id += 1;
  }
  for (const offset of template.sentAtOffsets) writeDigits(template.bytes, offset, timeDigits, nowMicros);
  return id;
}

/** The time of sending inside a delivered event; undefined when there is none. */
export function readSentAtMicros(body: Buffer, from: number): number | undefined {
  const at = body.indexOf(sentAtKey, from, 'latin1');
  if (at === -1) return undefined;
  const start = at + sentAtKey.length;
  let value = 0;
  for (let index = 0; index < timeDigits; index += 1) value = value * 10 + (body[start + index] ?? 48) - 48;
  return value;
}

/** The user and the number of a delivered event, for the order check; undefined when it is none of ours. */
export function readOrder(body: Buffer): { user: string; messageNumber: number } | undefined {
  const userAt = body.indexOf(userIdKey, 0, 'latin1');
  const messageAt = body.indexOf(messageIdKey, 0, 'latin1');
  if (userAt === -1 || messageAt === -1) return undefined;
  const userStart = userAt + userIdKey.length;
  const messageStart = messageAt + messageIdKey.length;
  return {
    user: body.toString('latin1', userStart, body.indexOf(0x22, userStart)),
    messageNumber: Number(body.toString('latin1', messageStart, messageStart + messageIdDigits)),
  };
}

function eventText(options: TemplateOptions): string {
  const event = {
    type: types[Math.floor(Math.random() * types.length)] ?? 'track',
    event: 'Order Completed',
    userId: `${options.connection}-user-${Math.floor(Math.random() * options.usersPerConnection)}`,
    messageId: '0'.repeat(messageIdDigits),
    originalTimestamp: '2026-01-01T00:00:00.000Z',
    context: { library: { name: 'sluice-bench', version: '1.0.0' }, ip: '192.0.2.1' },
    properties: { sentAtMicros: '0'.repeat(timeDigits), currency: 'EUR', total: 123.45, note: '' },
  };
  const missing = options.eventBytes - JSON.stringify(event).length;
  if (missing < 0) throw new Error(`expected events of at least ${options.eventBytes - missing} bytes`);
  event.properties.note = randomBytes(missing).toString('base64url').slice(0, missing);
  return JSON.stringify(event);
}

function offsetsAfter(bytes: Buffer, text: string): number[] {
  const offsets: number[] = [];
  for (let at = bytes.indexOf(text); at !== -1; at = bytes.indexOf(text, at + 1)) offsets.push(at + text.length);
  return offsets;
}

function writeDigits(bytes: Buffer, at: number, digits: number, value: number): void {
  let rest = value;
  for (let index = digits - 1; index >= 0; index -= 1) {
    bytes[at + index] = 48 + (rest % 10);
    rest = Math.floor(rest / 10);
  }
}
