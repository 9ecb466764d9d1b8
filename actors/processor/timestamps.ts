// The four times of an event (spec/ingest.md 4.3). Clients' clocks are wrong and their formats many; destinations get
// four times in one format, milliseconds and the zone the client wrote. What cannot be read falls back to ours.
//
//   receivedAt         the gateway's
//   originalTimestamp  the client's clock when it happened; else `timestamp`; else receivedAt
//   sentAt             the client's clock when it was sent; else receivedAt
//   timestamp          as sent when it can be read; else receivedAt - (sentAt - originalTimestamp): skew corrected

import type { EventObject } from '../destinations/destination.ts';

export interface ParsedTime {
  epochMs: number;
  /** RFC 3339 with milliseconds, in the zone it was written in. */
  text: string;
}

export interface TimeChanges {
  /** Fields the event did not have, in the order in which they were set. */
  added: string[];
  /** Fields of the event that got another value. */
  replaced: string[];
  /** More than that was changed, by others. */
  rewritten: boolean;
}

/** Sets the four times on the event. */
export function fixTimestamps(event: EventObject, receivedAtMs: number): TimeChanges {
  const changes: TimeChanges = { added: [], replaced: [], rewritten: false };
  const received: ParsedTime = { epochMs: receivedAtMs, text: isoText(receivedAtMs) };
  const given = parseTime(event.timestamp);
  const original = parseTime(event.originalTimestamp) ?? given ?? received;
  const sent = parseTime(event.sentAt) ?? received;
  setTime(event, 'receivedAt', received.text, changes);
  setTime(event, 'originalTimestamp', original.text, changes);
  setTime(event, 'sentAt', sent.text, changes);
  setTime(event, 'timestamp', given?.text ?? skewCorrected(received, sent, original), changes);
  return changes;
}

function setTime(event: EventObject, name: string, text: string, changes: TimeChanges): void {
  const present = event[name];
  if (present === text) return;
  if (present === undefined) changes.added.push(name);
  else changes.replaced.push(name);
  event[name] = text;
}

/** A clock that is off by millennia would leave the range of dates: then our own time is the better guess. */
function skewCorrected(received: ParsedTime, sent: ParsedTime, original: ParsedTime): string {
  return (printTime(received.epochMs - (sent.epochMs - original.epochMs), 0) ?? received).text;
}

/** Our own format, as nearly every client writes it. Date.parse carries 31 February and 24:00 over: not those. */
const canonicalPattern = /^\d{4}-\d\d-(?:[01]\d|2[0-8])T(?:[01]\d|2[0-3]):\d\d:\d\d\.\d{3}Z$/;
const isoPattern =
  /^(\d{4})-(\d{1,2})-(\d{1,2})(?:(?:T|\s+)(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,12}))?)?)?\s*(Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?$/i;
const monthPattern = /\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)/i;
const slashedPattern = /^(?:\d{1,2}\/\d{1,2}\/\d{4}|\d{4}\/\d{1,2}\/\d{1,2})\b/;
const zonePattern = /(?:\b(?:Z|UT|UTC|GMT|[ECMP][SD]T)|[+-]\d{2}:?\d{2})\s*(?:\([^)]*\))?$/i;
const offsetPattern = /([+-])(\d{2}):?(\d{2})?$/;
/** Longer texts are no dates; the patterns need not look at them. */
const timeCharactersMax = 64;

/** A time in any usual form, or undefined: ISO 8601 and RFC 3339, RFC 1123 and 2822, epoch in s, ms, µs or ns. */
export function parseTime(value: unknown): ParsedTime | undefined {
  if (typeof value === 'number') return parseEpoch(value);
  if (typeof value !== 'string' || value === '' || value.length > timeCharactersMax) return undefined;
  if (canonicalPattern.test(value)) {
    const epochMs = Date.parse(value);
    if (!Number.isNaN(epochMs)) return { epochMs, text: value };
  }
  const text = value.trim();
  if (/^\d{10,19}$/.test(text)) return parseEpoch(Number(text));
  return parseIso(text) ?? parseProse(text);
}

function parseIso(text: string): ParsedTime | undefined {
  const match = isoPattern.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction, zone] = match;
  const fields = [Number(month) - 1, Number(day), Number(hour ?? 0), Number(minute ?? 0), Number(second ?? 0)] as const;
  const milliseconds = Number((fraction ?? '').slice(0, 3).padEnd(3, '0'));
  const utcMs = Date.UTC(Number(year), ...fields, milliseconds);
  const back = new Date(utcMs);
  // Date.UTC carries 31 February over into March: a date that is none is refused instead.
  const isReal =
    back.getUTCMonth() === fields[0] && back.getUTCDate() === fields[1] && back.getUTCHours() === fields[2];
  if (!isReal || fields[3] > 59 || fields[4] > 59) return undefined;
  const offset = offsetOf(zone ?? '');
  return printTime(utcMs - offset * 60_000, offset);
}

/** `Mon, 02 Jan 2006 15:04:05 -0700` and its relatives, and dates with slashes. Without a zone: UTC, not ours. */
function parseProse(text: string): ParsedTime | undefined {
  if (!/\b\d{4}\b/.test(text) || !(monthPattern.test(text) || slashedPattern.test(text))) return undefined;
  const zoned = zonePattern.test(text);
  const epochMs = Date.parse(zoned ? text : `${text} UTC`);
  return Number.isNaN(epochMs)
    ? undefined
    : printTime(epochMs, zoned ? offsetOf(text.replace(/\s*\([^)]*\)$/, '')) : 0);
}

/** The number of digits tells the unit. */
function parseEpoch(value: number): ParsedTime | undefined {
  if (!Number.isFinite(value) || value < 1e9) return undefined;
  if (value < 1e11) return printTime(Math.floor(value * 1e3), 0);
  if (value < 1e14) return printTime(Math.floor(value), 0);
  return printTime(Math.floor(value < 1e17 ? value / 1e3 : value / 1e6), 0);
}

/** Minutes east of UTC. */
function offsetOf(zone: string): number {
  const match = offsetPattern.exec(zone);
  if (match === null) return 0;
  const minutes = Number(match[2]) * 60 + Number(match[3] ?? 0);
  return match[1] === '-' ? -minutes : minutes;
}

const yearZeroMs = Date.parse('0000-01-01T00:00:00.000Z');
const yearTenThousandMs = Date.UTC(10_000, 0, 1);
let isoSecond = Number.NaN;
let isoPrefix = '';

/** `toISOString`, which formats by printf: most times of a busy moment differ in their milliseconds only. */
function isoText(epochMs: number): string {
  const second = Math.floor(epochMs / 1000);
  if (second !== isoSecond) {
    isoPrefix = new Date(second * 1000).toISOString().slice(0, -4);
    isoSecond = second;
  }
  const milliseconds = Math.floor(epochMs) - second * 1000;
  return `${isoPrefix}${milliseconds < 10 ? '00' : milliseconds < 100 ? '0' : ''}${milliseconds}Z`;
}

function printTime(epochMs: number, offsetMinutes: number): ParsedTime | undefined {
  const shiftedMs = epochMs + offsetMinutes * 60_000;
  if (!(shiftedMs >= yearZeroMs && shiftedMs < yearTenThousandMs)) return undefined;
  const text = isoText(shiftedMs);
  if (offsetMinutes === 0) return { epochMs, text };
  const size = Math.abs(offsetMinutes);
  const two = (number: number): string => String(number).padStart(2, '0');
  const sign = offsetMinutes < 0 ? '-' : '+';
  return { epochMs, text: `${text.slice(0, -1)}${sign}${two(Math.floor(size / 60))}:${two(size % 60)}` };
}
