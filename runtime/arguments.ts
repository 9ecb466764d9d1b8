// What callers hand to the runtime is checked where it enters: a delay that is not a number would stop every timer behind
// it, and a key that is no text would wedge a link. Each refusal names what was given, what was expected and what came.

import { RuntimeError } from './errors.ts';

/** UTF-16 units of a key: it travels in the header of every message. */
export const keyUnitsMax = 4096;

export function invalid(name: string, expected: string, got: unknown): RuntimeError {
  return new RuntimeError('INVALID_ARGUMENT', `expected ${name} to be ${expected}, got ${describe(got)}`);
}

export function checkDelay(name: string, delayMs: unknown): void {
  if (typeof delayMs === 'number' && delayMs >= 0 && delayMs < Number.POSITIVE_INFINITY) return;
  throw invalid(name, 'a finite number of milliseconds, 0 or more', delayMs);
}

const loneSurrogate = /\p{Surrogate}/u;

/** Whether the kind exists is another question: that depends on the thread. */
export function checkAddress(kind: unknown, key: unknown): void {
  if (typeof kind !== 'string') throw invalid('the kind of an actor', 'a string', kind);
  if (typeof key !== 'string') throw invalid(`the key of an actor of kind ${kind}`, 'a string', key);
  if (key.length > keyUnitsMax) {
    throw invalid(`the key of an actor of kind ${kind}`, `at most ${keyUnitsMax} characters`, `${key.length}`);
  }
  if (loneSurrogate.test(key)) throw invalid(`the key of an actor of kind ${kind}`, 'well-formed Unicode', key);
}

/** Short, and safe for anything: a function, a proxy, an object without a prototype. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 64 ? `${value.slice(0, 64)}…` : value);
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object';
  if (typeof value === 'function') return 'a function';
  return String(value);
}
