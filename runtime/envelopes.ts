// The form in which messages leave a thread: envelopes with everything a tell leaves empty, encoded bodies, and errors
// of the layer below under the runtime's own codes.

import { decode, type Envelope, encodeBody } from '../transport/index.ts';
import type { ActorAddress } from './address.ts';
import { asRuntimeError, RuntimeError } from './errors.ts';
import { deepFreeze } from './freeze.ts';

/** In place of a receiver, where the ask id says it all. */
export const nobody: ActorAddress = Object.freeze({ kind: '', key: '' });

export function envelopeTo(type: Envelope['type'], to: ActorAddress, askId: number, body: Uint8Array): Envelope {
  return {
    type,
    toKind: to.kind,
    toKey: to.key,
    fromKind: '',
    fromKey: '',
    askId,
    deadlineMs: 0,
    traceparent: '',
    askChain: '',
    body,
  };
}

export function encodeMessage(message: unknown): Uint8Array {
  try {
    return encodeBody(message);
  } catch (error) {
    throw asRuntimeError(error);
  }
}

/** As if it had crossed a thread, and frozen, so that a test sees who writes into what is not his. */
export function copyOf(value: unknown): unknown {
  return deepFreeze(decode(encodeMessage(value)));
}

export function codeOf(error: Error): string {
  return error instanceof RuntimeError ? error.code : 'HANDLER_FAILED';
}
