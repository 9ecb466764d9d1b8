// The CPU time of the thread that asks. Node tells that of the whole process only; the kernel tells it for each thread,
// in a file that costs a microsecond to read. Time by the wall would blame code for what its neighbours compute.

import { openSync, readSync } from 'node:fs';

const nsPerMs = 1_000_000;
const zero = '0'.charCodeAt(0);
const nine = '9'.charCodeAt(0);

/** Milliseconds of this thread, from some fixed moment on. Undefined where the kernel does not tell. */
export function threadCpuClock(): (() => number) | undefined {
  const digits = Buffer.alloc(64);
  let file: number;
  const read = (): number => {
    const length = readSync(file, digits, 0, digits.length, 0);
    let ns = 0;
    for (let at = 0; at < length; at += 1) {
      const digit = digits[at] ?? 0;
      if (digit < zero || digit > nine) break;
      ns = ns * 10 + (digit - zero);
    }
    return ns / nsPerMs;
  };
  try {
    file = openSync('/proc/thread-self/schedstat', 'r');
    return read() > 0 ? read : undefined;
  } catch {
    return undefined;
  }
}
