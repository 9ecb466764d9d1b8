// Why the program cannot start, for the person at the terminal: one sentence that names the cause, one that tells the
// fix, and the exit code scripts go by.

/** sysexits.h: EX_UNAVAILABLE. */
export const exitUnavailable = 69;

export class StartError extends Error {
  override readonly name = 'StartError';
  readonly fix: string;
  readonly exitCode: number;

  constructor(message: string, fix: string, exitCode = exitUnavailable, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.fix = fix;
    this.exitCode = exitCode;
  }
}
