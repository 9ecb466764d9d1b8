// Routes what the OpenTelemetry packages say about themselves to our log, at most one line a minute: a collector that
// is down fails every few seconds on every thread, and that must neither flood the log nor stay unknown.

import type { ActorLog } from './actor.ts';
import type { Clock } from './seams.ts';

/** What the OpenTelemetry API calls a DiagLogger. */
export interface Diagnostics {
  error(message: string, ...details: unknown[]): void;
  warn(message: string, ...details: unknown[]): void;
  info(message: string, ...details: unknown[]): void;
  debug(message: string, ...details: unknown[]): void;
  verbose(message: string, ...details: unknown[]): void;
}

/** Between two lines; what is left out is counted in the next one. */
export const DIAGNOSTIC_INTERVAL_MS = 60_000;
const DETAIL_LENGTH_MAX = 300;

export function createDiagnostics(log: Pick<ActorLog, 'warn'>, clock: Clock): Diagnostics {
  let nextAt = Number.NEGATIVE_INFINITY;
  let suppressed = 0;
  function report(message: string, ...details: unknown[]): void {
    const now = clock.monotonicMs();
    if (now < nextAt) {
      suppressed += 1;
      return;
    }
    nextAt = now + DIAGNOSTIC_INTERVAL_MS;
    log.warn({ detail: describe([message, ...details]), suppressed }, 'telemetry is not exported as it should be');
    suppressed = 0;
  }
  return { error: report, warn: report, info: ignore, debug: ignore, verbose: ignore };
}

function describe(parts: readonly unknown[]): string {
  return parts.map(describeOne).join(' ').slice(0, DETAIL_LENGTH_MAX);
}

function describeOne(part: unknown): string {
  if (part instanceof Error) return part.message === '' ? part.name : part.message;
  return describeSerialized(String(part));
}

/** The SDK hands over its errors as JSON with a stack; an aggregate one has no message but a code. */
function describeSerialized(text: string): string {
  if (!text.startsWith('{')) return text;
  try {
    const error: unknown = JSON.parse(text);
    if (typeof error !== 'object' || error === null) return text;
    const fields = ['code' in error ? error.code : undefined, 'message' in error ? error.message : undefined].filter(
      (field) => typeof field === 'string' && field !== '',
    );
    return fields.length === 0 ? text : fields.join(': ');
  } catch {
    // Not JSON after all: the text itself is the best description there is.
    return text;
  }
}

/** Below the level the SDK is asked for; kept because its interface demands them. */
function ignore(): void {}
