// Reads and writes the W3C traceparent, strictly and without a regular expression, because one arrives with every
// traced event from senders we do not control. What does not follow the standard is not carried any further.

export interface ParsedTraceparent {
  traceId: string;
  spanId: string;
  sampled: boolean;
}

const LENGTH = 55;
const TRACE_ID_START = 3;
const SPAN_ID_START = 36;
const FLAGS_START = 53;

/** Undefined when `text` is not valid: the receiver then starts a trace of its own. */
export function parseTraceparent(text: string): ParsedTraceparent | undefined {
  if (!isTraceparent(text)) return undefined;
  return {
    traceId: text.slice(TRACE_ID_START, SPAN_ID_START - 1),
    spanId: text.slice(SPAN_ID_START, FLAGS_START - 1),
    sampled: isSampled(text),
  };
}

/** The sampled bit of a valid traceparent. */
export function isSampled(traceparent: string): boolean {
  return (hexDigit(traceparent.charCodeAt(FLAGS_START + 1)) & 1) === 1;
}

/** What to send on for a valid traceparent: a later version is cut to the version we know. */
export function normalizeTraceparent(text: string): string | undefined {
  if (!isTraceparent(text)) return undefined;
  return text.length === LENGTH && text.startsWith('00') ? text : `00${text.slice(2, FLAGS_START)}0${+isSampled(text)}`;
}

export function formatTraceparent(traceId: string, spanId: string, sampled: boolean): string {
  return `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`;
}

function isTraceparent(text: string): boolean {
  return (
    hasLengthOfItsVersion(text) &&
    text.charCodeAt(2) === DASH &&
    text.charCodeAt(SPAN_ID_START - 1) === DASH &&
    text.charCodeAt(FLAGS_START - 1) === DASH &&
    isHex(text, 0, 2) &&
    isIdentifier(text, TRACE_ID_START, SPAN_ID_START - 1) &&
    isIdentifier(text, SPAN_ID_START, FLAGS_START - 1) &&
    isHex(text, FLAGS_START, LENGTH)
  );
}

/** Version ff is forbidden; versions after 00 may append fields, after a dash. */
function hasLengthOfItsVersion(text: string): boolean {
  if (text.length === LENGTH) return !text.startsWith('ff');
  return text.length > LENGTH && !text.startsWith('00') && !text.startsWith('ff') && text.charCodeAt(LENGTH) === DASH;
}

/** Hexadecimal and not all zeros. */
function isIdentifier(text: string, start: number, end: number): boolean {
  let bits = 0;
  for (let index = start; index < end; index += 1) {
    const digit = hexDigit(text.charCodeAt(index));
    if (digit < 0) return false;
    bits |= digit;
  }
  return bits !== 0;
}

function isHex(text: string, start: number, end: number): boolean {
  for (let index = start; index < end; index += 1) if (hexDigit(text.charCodeAt(index)) < 0) return false;
  return true;
}

const DASH = 0x2d;

/** Lower case only, as the standard demands; -1 for anything else. */
function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  return code >= 0x61 && code <= 0x66 ? code - 0x57 : -1;
}
