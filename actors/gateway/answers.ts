// Every answer the gateway gives, with the exact texts of the field: clients and their retry rules know them.

import type { HttpHeaders } from '../../transport/index.ts';

export interface Answer {
  readonly status: number;
  readonly headers: HttpHeaders;
  readonly body: string;
}

const plainText = { 'Content-Type': 'text/plain; charset=utf-8' };
const errorHeaders: HttpHeaders = Object.freeze({ ...plainText, 'X-Content-Type-Options': 'nosniff' });
const busyHeaders: HttpHeaders = Object.freeze({ ...errorHeaders, 'Retry-After': '1' });

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
  invalidWriteKey: refusal(401, 'invalid write key'),
  sourceDisabled: refusal(404, 'source is disabled'),
  unknownRoute: refusal(404, '404 page not found'),
  tooLarge: refusal(413, 'request size exceeds max limit'),
  unreadableBody: refusal(500, 'failed to read body from request'),
  refusedByStorage: refusal(500, 'event could not be stored'),
  failed: refusal(500, 'internal server error'),
  unavailable: refusal(503, 'service unavailable', busyHeaders),
  noDatabase: refusal(503, 'Cannot connect to db'),
});

export function methodNotAllowed(allowed: string): Answer {
  return refusal(405, 'method not allowed', { ...errorHeaders, Allow: allowed });
}

export function jsonAnswer(value: unknown): Answer {
  const headers = { 'Content-Type': 'application/json; charset=utf-8' };
  return { status: 200, headers, body: JSON.stringify(value) };
}
