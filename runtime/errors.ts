// Errors of the runtime: one class, a stable code to switch on, and whether trying again may help. They cross threads
// as plain data and are rebuilt by code, because structured clone drops everything but name, message and stack.

import { type CrossingError, registerErrorCodes, toCrossingError, unknownErrorCode } from '../transport/index.ts';

export type RuntimeErrorCode =
  | 'MAILBOX_FULL'
  | 'ASK_TIMEOUT'
  | 'ASK_WITHOUT_DEADLINE'
  /** Only where asks are checked for cycles: in tests. */
  | 'ASK_CYCLE'
  | 'ACTOR_PARKED'
  | 'THREAD_LOST'
  | 'LINK_OVERLOADED'
  | 'NOT_SERIALIZABLE'
  | 'DRAINING'
  | 'HANDLER_FAILED'
  | 'UNKNOWN_KIND'
  | 'BODY_TOO_LARGE'
  | 'STOPPED';

const retryableByCode: Readonly<Record<RuntimeErrorCode, boolean>> = Object.freeze({
  MAILBOX_FULL: true,
  ASK_TIMEOUT: true,
  ASK_WITHOUT_DEADLINE: false,
  ASK_CYCLE: false,
  ACTOR_PARKED: true,
  THREAD_LOST: true,
  LINK_OVERLOADED: true,
  NOT_SERIALIZABLE: false,
  DRAINING: true,
  HANDLER_FAILED: false,
  UNKNOWN_KIND: false,
  BODY_TOO_LARGE: false,
  STOPPED: false,
});

export interface RuntimeErrorOptions {
  cause?: unknown;
  /** Default: by code. */
  retryable?: boolean;
}

export class RuntimeError extends Error {
  override readonly name = 'RuntimeError';
  /** One of `RuntimeErrorCode`, or the code of the error an actor answered with. */
  readonly code: RuntimeErrorCode | (string & {});
  readonly retryable: boolean;

  constructor(code: RuntimeErrorCode | (string & {}), message: string, options: RuntimeErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? (isRuntimeErrorCode(code) && retryableByCode[code]);
  }
}

/**
 * For what is refused or expires by the thousand when there is too much of it: without a stack, which would cost three
 * times the refusal itself and show nothing but the runtime.
 */
export function stacklessError(code: RuntimeErrorCode, message: string): RuntimeError {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return new RuntimeError(code, message);
  } finally {
    Error.stackTraceLimit = limit;
  }
}

export function isRuntimeErrorCode(code: string): code is RuntimeErrorCode {
  return Object.hasOwn(retryableByCode, code);
}

registerErrorCodes(Object.keys(retryableByCode), rebuild);

/** What an asker is given for anything that was thrown at the other end: always a RuntimeError, here and over a link. */
export function toAskError(error: unknown): RuntimeError {
  return error instanceof RuntimeError ? error : rebuild(toCrossingError(error));
}

/** The same from what crossed a link. */
export function rebuild(form: CrossingError): RuntimeError {
  const code = form.code === unknownErrorCode ? 'HANDLER_FAILED' : form.code;
  return new RuntimeError(code, form.message, { retryable: form.retryable });
}

/**
 * Something outside the actor is broken, not the actor: it says so itself (`environment`), or that the same call may
 * succeed later (`retryable`). Such failures back off but spend no restart intensity.
 */
export function isEnvironmentFailure(error: unknown): boolean {
  const fields = fieldsOf(error);
  return fields.environment === true || fields.retryable === true;
}

/** Errors of the layer below, seen by the code they carry; anything else is passed on as it is. */
export function asRuntimeError(error: unknown): unknown {
  if (error instanceof RuntimeError) return error;
  const { code } = fieldsOf(error);
  if (typeof code !== 'string' || !isRuntimeErrorCode(code)) return error;
  return new RuntimeError(code, error instanceof Error ? error.message : String(error), { cause: error });
}

interface ErrorFields {
  code?: unknown;
  environment?: unknown;
  retryable?: unknown;
}

function fieldsOf(error: unknown): ErrorFields {
  return typeof error === 'object' && error !== null ? error : {};
}
