// Every answer the gateway gives, with the exact texts of the field: clients and their retry rules know them.

import type { HttpHeaders } from '../../transport/index.ts';
import type { GateRefusal } from '../services/event-gate.ts';

export interface Answer {
  readonly status: number;
  readonly headers: HttpHeaders;
  readonly body: string;
}

/** What became of one event, for clients that ask. */
export interface EventVerdict {
  index: number;
  /** '' for an event that has none and was not accepted. */
  messageId: string;
  ok: boolean;
  reason?: string;
}

const msPerSecond = 1_000;
const plainText = { 'Content-Type': 'text/plain; charset=utf-8' };
const errorHeaders: HttpHeaders = Object.freeze({ ...plainText, 'X-Content-Type-Options': 'nosniff' });
const busyHeaders: HttpHeaders = Object.freeze({ ...errorHeaders, 'Retry-After': '1' });

/** A backlog takes longer to go down than a commit. */
const fullHeaders: HttpHeaders = Object.freeze({ ...errorHeaders, 'Retry-After': '10' });

/** Errors end with a newline, successes do not. */
function refusal(status: number, text: string, headers: HttpHeaders = errorHeaders): Answer {
  return Object.freeze({ status, headers, body: `${text}\n` });
}

export const answers = Object.freeze({
  ok: Object.freeze({ status: 200, headers: Object.freeze(plainText), body: 'ok' }),
  noBody: refusal(400, 'request body is nil'),
  invalidJson: refusal(400, 'invalid json'),
  emptyBatch: refusal(400, 'empty batch payload'),
  notAnEvent: refusal(400, 'event is not a valid rudder event'),
  noIdentity: refusal(400, 'request neither has anonymousId nor userId'),
  noWriteKey: refusal(401, 'failed to read writekey from header'),
  noQueryWriteKey: refusal(401, 'failed to read writekey from query params'),
  invalidWriteKey: refusal(401, 'invalid write key'),
  noSourceId: refusal(401, 'failed to read source id from header'),
  invalidSourceId: refusal(401, 'invalid source id'),
  invalidReplaySource: refusal(401, 'invalid replay source'),
  noAdminToken: refusal(401, 'invalid admin token', {
    ...errorHeaders,
    'WWW-Authenticate': 'Basic realm="Sluice internal"',
  }),
  invalidDestinationId: refusal(400, 'invalid destination id'),
  noDestinationId: refusal(400, 'failed to read destination id from header'),
  sourceDisabled: refusal(404, 'source is disabled'),
  destinationDisabled: refusal(404, 'destination is disabled'),
  unknownRoute: refusal(404, '404 page not found'),
  tooLarge: refusal(413, 'request size exceeds max limit'),
  workspaceFull: refusal(429, 'max requests limit reached', fullHeaders),
  unreadableBody: refusal(500, 'failed to read body from request'),
  refusedByStorage: refusal(500, 'event could not be stored'),
  failed: refusal(500, 'internal server error'),
  noWarehouse: refusal(501, 'there is no warehouse service'),
  unavailable: refusal(503, 'service unavailable', busyHeaders),
  noDatabase: refusal(503, 'Cannot connect to db'),
});

export function methodNotAllowed(allowed: string): Answer {
  return refusal(405, 'method not allowed', { ...errorHeaders, Allow: allowed });
}

/** A refusal with a text of its own, whose clients are told to come back when the status says so. */
export function refusalOf(status: number, text: string): Answer {
  return refusal(status, text, status === 429 || status === 503 ? busyHeaders : errorHeaders);
}

/** Rates are told with what is left of them, so that a client that sends batches can send a smaller one. */
export function gateAnswer(held: GateRefusal): Answer {
  if (held.kind === 'unknown') return answers.unavailable;
  return refusal(429, 'max requests limit reached', {
    ...errorHeaders,
    'Retry-After': String(Math.max(1, Math.ceil(held.retryAfterMs / msPerSecond))),
    'X-RateLimit-Limit': String(held.limit.events),
    'X-RateLimit-Remaining': String(held.remaining),
  });
}

export function jsonAnswer(value: unknown, status = 200, headers: HttpHeaders = {}): Answer {
  const all = { 'Content-Type': 'application/json; charset=utf-8', ...headers };
  return { status, headers: all, body: JSON.stringify(value) };
}

export function textAnswer(status: number, type: string, body: string): Answer {
  return Object.freeze({ status, headers: Object.freeze({ 'Content-Type': type }), body });
}

/** For clients that ask with `X-Sluice-Verdicts: 1`. */
export function verdictsAnswer(status: number, verdicts: readonly EventVerdict[]): Answer {
  const accepted = verdicts.filter(({ ok }) => ok).length;
  return jsonAnswer({ accepted, rejected: verdicts.length - accepted, verdicts }, status);
}
