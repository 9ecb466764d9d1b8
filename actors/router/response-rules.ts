// What an answer means, as data: rules that match status, header and body, the first one that fits decides. Every
// destination type may have some (response-rule-tables.ts), and a destination's own stand before them
// (`config.responseRules`). Where none fits the code decides by the usual table (retry.ts). Bodies are compared, never
// searched by customers' regular expressions: those could take a thread for as long as they like.

import { recordOf } from './config-values.ts';

export const ruleOutcomes = ['succeed', 'filter', 'retry', 'abort', 'throttle', 'refreshAuth'] as const;
export type RuleOutcome = (typeof ruleOutcomes)[number];

export interface ResponseRule {
  /** Any of these codes or ranges (both ends included); absent: all. */
  readonly status?: readonly (number | readonly [number, number])[];
  /** A header that is there, and holds the text when one is given; case does not count. */
  readonly header?: { readonly name: string; readonly contains?: string };
  readonly body?: {
    /** A text in it; case does not count. */
    readonly contains?: string;
    /** Fields of a JSON body: `error.code`, `0.errorCode`. Any of the values; none: it is there. */
    readonly path?: string;
    readonly equals?: readonly (string | number | boolean)[];
  };
  readonly outcome: RuleOutcome;
  readonly reason?: string;
}

/** The parts of an answer that rules look at. */
export interface Answer {
  readonly code: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface RuleSet {
  readonly rules: readonly ResponseRule[];
  /** Some look into successes: their bodies are needed. */
  readonly readsSuccess: boolean;
}

/** Codes by which the rest of the router knows the outcomes (spec/delivery.md 1.9). */
const outcomeCodes: Readonly<Record<RuleOutcome, number>> = {
  succeed: 200,
  filter: 298,
  retry: 500,
  abort: 400,
  throttle: 429,
  refreshAuth: 500,
};
const rulesMax = 100;

export function ruleSetOf(rules: readonly ResponseRule[]): RuleSet {
  const readsSuccess = rules.some(({ body, status }) => body !== undefined && mayMatchSuccess(status));
  return { rules, readsSuccess };
}

/** The first rule that fits; undefined: the code decides. */
export function matchRule({ rules }: RuleSet, answer: Answer): ResponseRule | undefined {
  let parsed: { value: unknown } | undefined;
  const bodyOf = (): unknown => {
    parsed ??= { value: parseJson(answer.text) };
    return parsed.value;
  };
  return rules.find((rule) => fits(rule, answer, bodyOf));
}

/** The code an answer counts as; its own where that already means the same. */
export function codeBy(rule: ResponseRule, code: number): number {
  const isLater = code < 200 || code === 408 || code >= 500;
  const isRefused = code >= 300 && code < 500 && code !== 408 && code !== 429;
  if ((rule.outcome === 'retry' || rule.outcome === 'refreshAuth') && isLater) return code;
  if (rule.outcome === 'abort' && isRefused) return code;
  return outcomeCodes[rule.outcome];
}

/** Rules of a destination's configuration, and what is wrong with those that are none. */
export function readRules(value: unknown): { rules: ResponseRule[]; problems: string[] } {
  const rules: ResponseRule[] = [];
  const problems: string[] = [];
  if (value === undefined || value === null) return { rules, problems };
  if (!Array.isArray(value)) return { rules, problems: ['expected responseRules to be a list'] };
  for (const [index, entry] of value.slice(0, rulesMax).entries()) {
    const rule = readRule(entry);
    if (typeof rule === 'string') problems.push(`responseRules[${index}]: expected ${rule}`);
    else rules.push(rule);
  }
  if (value.length > rulesMax) problems.push(`expected at most ${rulesMax} responseRules, got ${value.length}`);
  return { rules, problems };
}

/** The rule, or what was expected of it. */
function readRule(entry: unknown): ResponseRule | string {
  const { status, header, body, outcome: given, reason, ...others } = recordOf(entry);
  const [stray] = Object.keys(others);
  if (stray !== undefined) return `only status, header, body, outcome and reason, got ${stray}`;
  const outcome = ruleOutcomes.find((one) => one === given);
  if (outcome === undefined) return `outcome to be one of ${ruleOutcomes.join(', ')}`;
  const codes = readStatus(status);
  if (typeof codes === 'string') return codes;
  const { name, contains } = recordOf(header);
  if (header !== undefined && (typeof name !== 'string' || !isTextOrNone(contains))) return 'header.name to be a text';
  const { contains: part, path, equals, ...strayBody } = recordOf(body);
  if (Object.keys(strayBody).length > 0) return 'only contains, path and equals in body';
  if (!isTextOrNone(part) || !isTextOrNone(path)) return 'body.contains and body.path to be texts';
  if (equals !== undefined && (typeof path !== 'string' || !isScalars(equals))) {
    return 'body.equals to be a list of texts, numbers and booleans, with a body.path';
  }
  return {
    ...(codes === undefined ? {} : { status: codes }),
    ...(typeof name === 'string' ? { header: { name, ...optional('contains', contains) } } : {}),
    ...(body === undefined
      ? {}
      : {
          body: { ...optional('contains', part), ...optional('path', path), ...(isScalars(equals) ? { equals } : {}) },
        }),
    outcome,
    ...optional('reason', reason),
  };
}

function readStatus(value: unknown): ResponseRule['status'] | string {
  if (value === undefined) return undefined;
  const entries: unknown[] = Array.isArray(value) ? value : [value];
  const codes: (number | readonly [number, number])[] = [];
  for (const entry of entries) {
    const text = String(entry);
    const [, from, to = from] = /^(\d{3})(?:-(\d{3}))?$/.exec(text) ?? [];
    if (from === undefined || to === undefined) return 'status to be codes or ranges like 400-499';
    codes.push(from === to ? Number(from) : [Number(from), Number(to)]);
  }
  return codes;
}

function fits(rule: ResponseRule, { code, text, headers }: Answer, bodyOf: () => unknown): boolean {
  const { status, header, body } = rule;
  if (status !== undefined && !status.some((one) => isWithin(one, code))) return false;
  if (header !== undefined) {
    const found = headers[header.name.toLowerCase()];
    if (found === undefined) return false;
    if (header.contains !== undefined && !holds(String(found), header.contains)) return false;
  }
  if (body === undefined) return true;
  if (body.contains !== undefined && !holds(text, body.contains)) return false;
  if (body.path === undefined) return true;
  const value = valueAt(bodyOf(), body.path);
  return body.equals === undefined ? value !== undefined : body.equals.some((one) => one === value);
}

function isWithin(one: number | readonly [number, number], code: number): boolean {
  return typeof one === 'number' ? one === code : code >= one[0] && code <= one[1];
}

function mayMatchSuccess(status: ResponseRule['status']): boolean {
  return status === undefined || status.some((one) => (typeof one === 'number' ? one : one[0]) < 300);
}

function holds(text: string, part: string): boolean {
  return text.toLowerCase().includes(part.toLowerCase());
}

function valueAt(value: unknown, path: string): unknown {
  let at = value;
  for (const key of path.split('.')) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined;
    at = Reflect.get(at, key);
  }
  return at;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isTextOrNone(value: unknown): value is string | undefined {
  return value === undefined || typeof value === 'string';
}

function isScalars(value: unknown): value is (string | number | boolean)[] {
  return Array.isArray(value) && value.every((one) => ['string', 'number', 'boolean'].includes(typeof one));
}

function optional<Key extends string>(key: Key, value: unknown): Partial<Record<Key, string>> {
  const found: Partial<Record<Key, string>> = {};
  if (typeof value === 'string') found[key] = value;
  return found;
}
