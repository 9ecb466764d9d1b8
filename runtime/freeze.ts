// Freezes what a test message is made of, all the way down: in production a local message is shared by reference, and
// whoever writes into it writes into its sender's memory.

/** Bytes cannot be frozen and stay as they are. */
export function deepFreeze(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const part of Object.values(value)) deepFreeze(part);
  return value;
}
