// What a look at one thing found. Every check gives exactly one finding, so that what is in order is said too.

export type Verdict = 'pass' | 'warn' | 'fail';

export interface Finding {
  /** What was looked at, one or two words. */
  name: string;
  /** fail: a start would not work, or a promise is broken. warn: it works, but less well than it could. */
  verdict: Verdict;
  found: string;
  /** What to do; '' when it passed. */
  fix: string;
}

export function passed(name: string, found: string): Finding {
  return { name, verdict: 'pass', found, fix: '' };
}

export function warned(name: string, found: string, fix: string): Finding {
  return { name, verdict: 'warn', found, fix };
}

export function failed(name: string, found: string, fix: string): Finding {
  return { name, verdict: 'fail', found, fix };
}
