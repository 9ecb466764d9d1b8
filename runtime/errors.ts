// Errors of the runtime: one class, a stable code to switch on, and whether trying again may help. They cross threads
// as plain data and are rebuilt by code, because structured clone drops everything but name, message and stack.

import { types } from 'node:util';
import {
  type CrossingError,
  errorTextMax,
  registerErrorCodes,
  textOfError,
  toCrossingError,
  unknownErrorCode,
} from '../transport/index.ts';

export type RuntimeErrorCode =
  /** The mailbox of the actor, or what its thread may hold for all mailboxes, is full. */
  | 'MAILBOX_FULL'
  /** No answer within `timeoutMs`. Whether the message was handled is not known. */
  | 'ASK_TIMEOUT'
  /** `timeoutMs` is missing, no number, or out of bounds. */
  | 'ASK_WITHOUT_DEADLINE'
  /** Only where asks are checked for cycles: in tests. */
  | 'ASK_CYCLE'
  /** The actor failed too often and rests for a while. */
  | 'ACTOR_PARKED'
  /** The thread the message went to has ended, or none has the role. Whether the message was handled is not known. */
  | 'THREAD_LOST'
  /** The link to the other thread has neither credit nor room to wait. */
  | 'LINK_OVERLOADED'
  /** Message or answer is no plain data, see `ActorRef`. */
  | 'NOT_SERIALIZABLE'
  /** The receiver stops, or the sender's whole thread does. */
  | 'DRAINING'
  /** The handler threw, ended without an answer, or its actor was stopped before it gave one. */
  | 'HANDLER_FAILED'
  /** No such kind of actor, or not in the thread named. */
  | 'UNKNOWN_KIND'
  /** More than 64 MiB encoded. */
  | 'BODY_TOO_LARGE'
  /** A move was called off; everything is as before. */
  | 'MOVE_ABORTED'
  /** An option, a delay or an address that cannot be meant; the text names it, what was expected and what came. */
  | 'INVALID_ARGUMENT'
  /** The thread, or the whole runtime, has stopped its actors for good. */
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
  MOVE_ABORTED: true,
  INVALID_ARGUMENT: false,
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
  return new RuntimeError(code, textOfError(error), { cause: error });
}

/** Whatever was thrown, as an Error. */
export function asError(error: unknown): Error {
  return soundError(asRuntimeError(error));
}

/** The error itself where it can be read, logged and cloned without a second surprise, otherwise what it says. */
export function soundError(error: unknown): Error {
  return isSound(error, causesMax) ? error : new Error(textOfError(error));
}

const causesMax = 8;

interface ErrorFields {
  code?: unknown;
  environment?: unknown;
  retryable?: unknown;
}

/** A copy, taken with care: what was thrown may be a proxy, or have getters that throw. */
function fieldsOf(error: unknown): ErrorFields {
  if (typeof error !== 'object' || error === null) return {};
  try {
    const { code, environment, retryable } = error as ErrorFields;
    return { code, environment, retryable };
  } catch {
    return {};
  }
}

/** An Error of bearable length whose fields, and those of its causes, can be read without being thrown at. */
function isSound(error: unknown, causesLeft: number): error is Error {
  try {
    if (!(error instanceof Error) || types.isProxy(error) || causesLeft === 0) return false;
    const { name, message, stack = '', cause } = error;
    if (typeof name !== 'string' || typeof message !== 'string' || typeof stack !== 'string') return false;
    if (message.length > errorTextMax) return false;
    for (const field of Object.keys(error)) void Reflect.get(error, field);
    return typeof cause !== 'object' || cause === null || isSound(cause, causesLeft - 1);
  } catch {
    return false;
  }
}
