// Typed errors of the layer that moves bytes, and the form in which any error crosses a thread. A structured clone of
// an Error loses its `code` and its own fields, so what travels is plain data and the other side rebuilds by code.

export interface TransportErrorOptions {
  /** True when the same call may succeed later without a change by the caller. Default false. */
  retryable?: boolean;
  /** Plain data worth knowing to whoever handles the error; it crosses threads. Never bodies or secrets. */
  data?: Readonly<Record<string, unknown>>;
  cause?: unknown;
}

/** Base of every error this layer throws. Switch on `code`, never on the text. */
export class TransportError extends Error {
  readonly code: string;
  readonly retryable: boolean;
  readonly data: Readonly<Record<string, unknown>> | undefined;

  constructor(code: string, message: string, options: TransportErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'TransportError';
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.data = options.data;
  }
}

/** What travels instead of an Error. */
export interface CrossingError {
  code: string;
  message: string;
  retryable: boolean;
  data: Record<string, unknown> | null;
}

/** Code of an error that had none of its own. */
export const unknownErrorCode = 'UNKNOWN';

/** UTF-16 units of a message that cross a thread or enter a log: a text beyond that is a payload, not an explanation. */
export const errorTextMax = 4096;
const errorCodeMax = 128;

/** The plain form of anything that was thrown; never throws itself. Stack and cause stay where they are: log them there. */
export function toCrossingError(error: unknown): CrossingError {
  const message = textOfError(error);
  try {
    if (!(error instanceof Error)) return { code: unknownErrorCode, message, retryable: false, data: null };
    const { code, retryable, data } = error as { code?: unknown; retryable?: unknown; data?: unknown };
    return {
      code: typeof code === 'string' && code.length <= errorCodeMax ? code : unknownErrorCode,
      message,
      retryable: retryable === true,
      data: isRecord(data) ? data : null,
    };
  } catch {
    return { code: unknownErrorCode, message, retryable: false, data: null };
  }
}

/** What a thrown value says. Anything can be thrown, also what cannot be printed: this never throws, and is never long. */
export function textOfError(error: unknown): string {
  try {
    const text: unknown = error instanceof Error ? error.message : String(error);
    if (typeof text !== 'string') return unprintable;
    return text.length <= errorTextMax ? text : `${text.slice(0, errorTextMax)} … (${text.length} characters)`;
  } catch {
    return unprintable;
  }
}

const unprintable = 'something was thrown that cannot be printed';

export type RebuildError = (form: CrossingError) => Error;

const rebuilders = new Map<string, RebuildError>();

/** Lets a layer above get its own class back for its codes. Called once per thread, when that layer is loaded. */
export function registerErrorCodes(codes: readonly string[], rebuild: RebuildError): void {
  for (const code of codes) rebuilders.set(code, rebuild);
}

/** The error again: of the class registered for its code, otherwise a TransportError with that code. */
export function fromCrossingError(form: CrossingError): Error {
  const rebuild = rebuilders.get(form.code);
  if (rebuild !== undefined) return rebuild(form);
  const options: TransportErrorOptions = { retryable: form.retryable };
  if (form.data !== null) options.data = form.data;
  return new TransportError(form.code, form.message, options);
}

/** Whether a decoded value has the form `toCrossingError` gives. */
export function isCrossingError(value: unknown): value is CrossingError {
  return (
    isRecord(value) &&
    typeof value.code === 'string' &&
    typeof value.message === 'string' &&
    typeof value.retryable === 'boolean' &&
    (value.data === null || isRecord(value.data))
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
