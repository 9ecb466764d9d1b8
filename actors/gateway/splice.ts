// The gateway's changes to an event, made in its raw bytes: what is new goes right behind the opening brace, what
// replaces goes where the old value was. Nothing else is touched, so numbers keep their digits and keys their order.

import type { PayloadPiece } from '../storage/job-row.ts';
import { type EventScanner, type Field, field } from './event-scanner.ts';
import { byteAt, closeBrace, skipSpace } from './json-grammar.ts';

export interface FillIns {
  /** Forced `type` on the single-event routes; undefined leaves it alone. */
  type: string | undefined;
  /** Always set. */
  rudderId: string;
  /** Set when absent. */
  receivedAt: string;
  /** Set when absent; JSON text, since it may come from a header. */
  requestIpJson: string;
  /** undefined keeps the client's. */
  messageId: string | undefined;
}

/** Pieces of the changed event, in order: what is new as text, the rest as views into `bytes`. */
export function splice(bytes: Buffer, scanner: EventScanner, event: number, fill: FillIns): PayloadPiece[] {
  const start = scanner.start(event);
  const end = scanner.end(event);
  const replaced: Replacement[] = [];
  let added = '{';
  added += place(scanner, event, field.rudderId, replaced, '"rudderId":', `"${fill.rudderId}"`);
  if (fill.type !== undefined) {
    added += place(scanner, event, field.type, replaced, '"type":', `"${fill.type}"`);
  }
  if (fill.messageId !== undefined) {
    added += place(scanner, event, field.messageId, replaced, '"messageId":', JSON.stringify(fill.messageId));
  }
  if (scanner.valueEnd(event, field.receivedAt) === 0) added += `"receivedAt":"${fill.receivedAt}",`;
  if (scanner.valueEnd(event, field.requestIp) === 0) added += `"request_ip":${fill.requestIpJson},`;
  const isEmpty = byteAt(bytes, skipSpace(bytes, start + 1)) === closeBrace;
  const prefix = isEmpty && added.length > 1 ? added.slice(0, -1) : added;
  if (replaced.length === 0) return [prefix, bytes.subarray(start + 1, end)];
  return [prefix, ...replaceValues(bytes, start + 1, end, replaced)];
}

interface Replacement {
  start: number;
  end: number;
  value: string;
}

/** Notes a replacement when the field is there; otherwise returns the member to add, with its comma. */
function place(
  scanner: EventScanner,
  event: number,
  wanted: Field,
  replaced: Replacement[],
  key: string,
  value: string,
): string {
  const end = scanner.valueEnd(event, wanted);
  if (end === 0) return `${key}${value},`;
  replaced.push({ start: scanner.valueStart(event, wanted), end, value });
  return '';
}

function replaceValues(bytes: Buffer, start: number, end: number, replaced: Replacement[]): PayloadPiece[] {
  const pieces: PayloadPiece[] = [];
  let at = start;
  for (const { start: valueStart, end: valueEnd, value } of replaced.sort((a, b) => a.start - b.start)) {
    pieces.push(bytes.subarray(at, valueStart), value);
    at = valueEnd;
  }
  pieces.push(bytes.subarray(at, end));
  return pieces;
}
