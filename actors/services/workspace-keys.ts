// How keys of the control plane's shape are matched: apart from the shapes, because every one of them begins here.

import { z } from 'zod';

export function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Go's decoder, which the shape comes from, matches keys without regard to case; an exact match wins. */
export function keyed<Shape extends z.ZodRawShape>(shape: Shape) {
  const nameByLowerCase = new Map(Object.keys(shape).map((name) => [name.toLowerCase(), name]));
  return z.preprocess((value) => {
    if (!isTable(value)) return value;
    const result: Record<string, unknown> = {};
    for (const [key, item] of Object.entries(value)) {
      const name = nameByLowerCase.get(key.toLowerCase());
      if (name !== undefined && (key === name || !(name in value))) result[name] = item;
    }
    return result;
  }, z.object(shape));
}
