// The one place where a test waits by the clock: for what another process does and has no way to tell us. Every wait
// is bounded and says what it waited for. Inside one process tests wait on events instead.

const pauseMs = 20;

/** Asks until the answer is not undefined. A probe that throws counts as "not yet"; the last error is the cause. */
export async function pollUntil<Value>(
  what: string,
  probe: () => Value | undefined | Promise<Value | undefined>,
  deadlineMs = 30_000,
): Promise<Value> {
  const giveUpAt = Date.now() + deadlineMs;
  let cause: unknown;
  for (;;) {
    try {
      const value = await probe();
      if (value !== undefined) return value;
    } catch (error) {
      cause = error;
    }
    if (Date.now() >= giveUpAt) throw new Error(`expected ${what} within ${deadlineMs} ms`, { cause });
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** The promise's value, or an error that says what did not happen in time. */
export async function within<Value>(
  what: string | (() => string),
  deadlineMs: number,
  promise: Promise<Value>,
): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`expected ${typeof what === 'string' ? what : what()} within ${deadlineMs} ms`));
    }, deadlineMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
