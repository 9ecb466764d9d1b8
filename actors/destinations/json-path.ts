// The part of JSONPath that names things (RFC 9535 without filters, slices and descent): `$.a.b`, `$['a b']`, `$.a[0]`,
// `$.a[*].b`. Enough for mappings, and nothing in it can run for long.

import { isObject } from './destination.ts';

type Step = string | number | '*';
/** `'*'` as a name cannot be told from the wildcard, so wildcards are this. */
const wildcard = Symbol('wildcard');
type PathStep = Exclude<Step, '*'> | typeof wildcard;
export type JsonPath = readonly PathStep[];

const stepPattern =
  /\.([\p{L}\p{N}_$-]+)|\[(\d{1,4})\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]|(\.\*|\[\*\])/uy;

/** Undefined: it is no path, but a constant. */
export function parsePath(text: string): JsonPath | undefined {
  if (!text.startsWith('$')) return undefined;
  const steps: PathStep[] = [];
  stepPattern.lastIndex = 1;
  while (stepPattern.lastIndex < text.length) {
    const match = stepPattern.exec(text);
    if (match === null) return undefined;
    const [, name, index, single, double, every] = match;
    if (every !== undefined) steps.push(wildcard);
    else if (index !== undefined) steps.push(Number(index));
    else steps.push(name ?? (single ?? double ?? '').replace(/\\(.)/g, '$1'));
  }
  return steps;
}

/** A path through a wildcard gives a list; undefined when nothing is there. */
export function readPath(value: unknown, path: JsonPath): unknown {
  let current = value;
  for (const [index, step] of path.entries()) {
    if (typeof current !== 'object' || current === null) return undefined;
    if (step === wildcard) {
      const rest = path.slice(index + 1);
      const found = Object.values(current).map((item: unknown) => readPath(item, rest));
      return found.filter((item) => item !== undefined);
    }
    if (!Object.hasOwn(current, step)) return undefined;
    current = (current as Record<string | number, unknown>)[step];
  }
  return current;
}

/** Places can be written to when they are named one by one. */
export function isPlace(path: JsonPath): path is readonly (string | number)[] {
  return path.length > 0 && path.every((step) => step !== wildcard);
}

/** Sets what is at the place, making objects on the way. Numbers are names here: lists come whole. */
export function writePath(target: Record<string, unknown>, place: readonly (string | number)[], value: unknown): void {
  let holder = target;
  for (const step of place.slice(0, -1)) {
    const next = Object.hasOwn(holder, step) ? holder[step] : undefined;
    const inner = isObject(next) ? next : {};
    if (inner !== next) define(holder, step, inner);
    holder = inner;
  }
  define(holder, place.at(-1) ?? '', value);
}

/** Assigning `__proto__` would do something else. */
function define(holder: Record<string, unknown>, name: string | number, value: unknown): void {
  Object.defineProperty(holder, name, { value, enumerable: true, configurable: true, writable: true });
}
