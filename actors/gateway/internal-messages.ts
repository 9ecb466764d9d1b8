// The body of POST /internal/v1/batch: a list of `{"properties":{…},"payload":{…}}`, each an event that another gateway
// has accepted, with what it knew about it. The payloads are stored as they are, byte by byte; all must be good, because
// whoever sends them has checked them already.

import { isUtf8 } from 'node:buffer';
import { EventScanner, type Field, field, type ScanLimits } from './event-scanner.ts';
import { compositeKeyText, idText, keyText, rawText, runIdText, sanitise, stringText } from './event-text.ts';
import {
  byteAt,
  closeBrace,
  closeBracket,
  colon,
  comma,
  finish,
  openBrace,
  openBracket,
  prepare,
  quote,
  skipSpace,
  skipString,
  skipValue,
} from './json-grammar.ts';

export interface InternalMessage {
  sourceId: string;
  workspaceId: string;
  /** The composite user id. */
  routingKey: string;
  /** Who may be suppressed; '' when nobody is named. */
  userId: string;
  messageId: string;
  receivedAtMs: number;
  /** '' when it belongs to none. */
  jobRunId: string;
  taskRunId: string;
  /** JSON text of GatewayParameters and what else the sender knew. */
  parameters: string;
  payload: Buffer;
}

export type MessagesRead =
  | { ok: true; messages: InternalMessage[] }
  /** `notEvents`: JSON, but not what it should be. */
  | { ok: false; reason: 'invalidJson' | 'notEvents' };

/** Request types whose events say their type themselves or need none. */
const untyped: ReadonlySet<unknown> = new Set(['', 'batch', 'replay', 'retl', 'import', undefined]);
const neededFields: readonly Field[] = [field.receivedAt, field.requestIp, field.rudderId];

export class InternalMessages {
  readonly #scanner: EventScanner;
  readonly #limits: ScanLimits;

  constructor(limits: ScanLimits) {
    this.#limits = limits;
    this.#scanner = new EventScanner(limits);
  }

  read(body: Buffer): MessagesRead {
    const parts = isUtf8(body) ? findParts(body, this.#limits.depthMax) : undefined;
    if (parts === undefined) return { ok: false, reason: 'invalidJson' };
    if (parts === 'notEvents' || parts.length === 0 || parts.length > this.#limits.eventsMax) {
      return { ok: false, reason: 'notEvents' };
    }
    const messages: InternalMessage[] = [];
    for (const { properties, payload } of parts) {
      const message = this.#message(properties, payload);
      if (message === undefined) return { ok: false, reason: 'notEvents' };
      messages.push(message);
    }
    return { ok: true, messages };
  }

  #message(propertiesText: Buffer, payload: Buffer): InternalMessage | undefined {
    const properties: unknown = propertiesText.byteLength === 0 ? undefined : JSON.parse(propertiesText.toString());
    if (!isTable(properties) || byteAt(payload, 0) !== openBrace) return undefined;
    const scanner = this.#scanner;
    if (scanner.scan(payload, 'single') !== 'events') return undefined;
    const messageId = stringText(payload, scanner.valueStart(0, field.messageId), scanner.valueEnd(0, field.messageId));
    const isTyped = scanner.valueEnd(0, field.type) > 0 || untyped.has(properties.requestType);
    if (messageId === '' || !isTyped || neededFields.some((name) => scanner.valueEnd(0, name) === 0)) return undefined;
    const [sourceId, workspaceId] = [textOf(properties.sourceID), textOf(properties.workspaceID)];
    const receivedAtMs = Date.parse(textOf(properties.receivedAt) || this.#text(payload, field.receivedAt));
    if (sourceId === '' || workspaceId === '' || !(receivedAtMs >= 0)) return undefined;
    return {
      sourceId,
      workspaceId,
      routingKey: compositeKeyText(textOf(properties.routingKey) || textOf(properties.userID)),
      userId: textOf(properties.userID) || this.#userIdOf(payload),
      messageId: keyText(messageId),
      receivedAtMs,
      jobRunId: runIdText(textOf(properties.sourceJobRunID)),
      taskRunId: runIdText(textOf(properties.sourceTaskRunID)),
      parameters: JSON.stringify(parametersOf(properties, sourceId, workspaceId, keyText(messageId))),
      payload,
    };
  }

  #userIdOf(payload: Buffer): string {
    return idText(payload, this.#scanner.valueStart(0, field.userId), this.#scanner.valueEnd(0, field.userId));
  }

  #text(payload: Buffer, wanted: Field): string {
    return rawText(payload, this.#scanner.valueStart(0, wanted), this.#scanner.valueEnd(0, wanted));
  }
}

function parametersOf(
  properties: Readonly<Record<string, unknown>>,
  sourceId: string,
  workspaceId: string,
  messageId: string,
): Record<string, unknown> {
  const texts: [string, unknown][] = [
    ['request_ip', properties.requestIP],
    ['source_job_run_id', runIdText(textOf(properties.sourceJobRunID))],
    ['source_task_run_id', runIdText(textOf(properties.sourceTaskRunID))],
    ['destination_id', properties.destinationID],
    ['traceparent', properties.traceID],
    ['user_id', properties.userID],
    ['bot_name', properties.botName],
    ['bot_url', properties.botURL],
    ['bot_action', properties.botAction],
  ];
  const flags: [string, unknown][] = [
    ['is_bot', properties.isBot],
    ['bot_is_invalid_browser', properties.botIsInvalidBrowser],
  ];
  const known: [string, unknown][] = [
    ...texts.map(([name, value]): [string, unknown] => [name, textOf(value)]).filter(([, value]) => value !== ''),
    ...flags.filter(([, value]) => value === true),
  ];
  return { source_id: sourceId, workspace_id: workspaceId, message_id: messageId, ...Object.fromEntries(known) };
}

interface MessageParts {
  /** Empty when it has none. */
  properties: Buffer;
  payload: Buffer;
}

/** Undefined when the bytes are not JSON. */
function findParts(body: Buffer, depthMax: number): MessageParts[] | 'notEvents' | undefined {
  prepare(body, depthMax);
  try {
    const start = skipSpace(body, 0);
    const end = skipValue(body, start, 0);
    if (end < 0 || skipSpace(body, end) !== body.byteLength) return undefined;
    if (byteAt(body, start) !== openBracket) return 'notEvents';
    const parts: MessageParts[] = [];
    // The whole is known to be JSON: from here on every token is there.
    for (let at = skipSpace(body, start + 1); byteAt(body, at) !== closeBracket; at = skipComma(body, at)) {
      if (byteAt(body, at) !== openBrace) return 'notEvents';
      const found = partsOf(body, at);
      parts.push(found.parts);
      at = found.end;
    }
    return parts;
  } finally {
    finish();
  }
}

function partsOf(body: Buffer, start: number): { parts: MessageParts; end: number } {
  const parts: MessageParts = { properties: body.subarray(0, 0), payload: body.subarray(0, 0) };
  let at = skipSpace(body, start + 1);
  while (byteAt(body, at) === quote) {
    const keyEnd = skipString(body, at);
    const key: unknown = JSON.parse(body.toString('utf8', at, keyEnd));
    const colonAt = skipSpace(body, keyEnd);
    const valueAt = skipSpace(body, byteAt(body, colonAt) === colon ? colonAt + 1 : colonAt);
    const valueEnd = skipValue(body, valueAt, 2);
    if (key === 'properties' || key === 'payload') parts[key] = body.subarray(valueAt, valueEnd);
    at = skipComma(body, valueEnd);
  }
  return { parts, end: byteAt(body, at) === closeBrace ? at + 1 : at };
}

function skipComma(body: Buffer, end: number): number {
  const at = skipSpace(body, end);
  return byteAt(body, at) === comma ? skipSpace(body, at + 1) : at;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? sanitise(value) : '';
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
