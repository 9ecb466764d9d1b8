// How keys of the workspace's shape are read, whatever they hold: without regard to case, null as absent, unknown keys
// left out.

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

/** Absent and null mean the same in the shape. */
export function orElse<Schema extends z.ZodType>(schema: Schema, fallback: () => z.output<Schema>) {
  return schema.nullish().transform((value) => value ?? fallback());
}

export const optionalText = z
  .string()
  .nullish()
  .transform((value) => value ?? undefined);
export const onByDefault = orElse(z.boolean(), () => true);
export const table = orElse(z.record(z.string(), z.unknown()), () => ({}));
