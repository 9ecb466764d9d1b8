// Whether what an actor type, a thread group or the tuning of threads declares can be meant: checked once, where it is
// declared. All faults are told together, each with its name, what was expected and what came.

import { describe } from './arguments.ts';
import { RuntimeError } from './errors.ts';

interface Rule {
  readonly expected: string;
  admits(value: unknown): boolean;
}

type Rules = Readonly<Record<string, Rule>>;

const count = whole(1);
const delay: Rule = number(0, 'a finite number of milliseconds, 0 or more');
const text: Rule = {
  expected: 'a text that is not empty',
  admits: (value) => typeof value === 'string' && value !== '',
};
const flag: Rule = { expected: 'true or false', admits: (value) => typeof value === 'boolean' };
const share: Rule = {
  expected: 'a number from 0 to 1',
  admits: (value) => typeof value === 'number' && value >= 0 && value <= 1,
};
const record: Rule = { expected: 'an object', admits: (value) => typeof value === 'object' && value !== null };

const mailboxRules: Rules = {
  capacity: count,
  bytesMax: number(1, 'a number of bytes, 1 or more'),
  overflow: oneOf('reject', 'dropOldest'),
};

const supervisionRules: Rules = {
  strategy: oneOf('restart', 'stop'),
  minBackoffMs: delay,
  maxBackoffMs: delay,
  jitter: share,
  maxRestarts: whole(0),
  withinMs: delay,
  resetAfterMs: delay,
  parkMs: delay,
  parkMsMax: delay,
};

const definitionRules: Rules = {
  kind: {
    expected: 'a text without a slash that is not empty',
    admits: (value) => text.admits(value) && !String(value).includes('/'),
  },
  role: text,
  mailbox: record,
  supervision: record,
  idleMs: delay,
  priority: oneOf('interactive', 'batch'),
  remedy: { expected: 'a text', admits: (value) => typeof value === 'string' },
  create: { expected: 'a function', admits: (value) => typeof value === 'function' },
};

const groupRules: Rules = {
  role: text,
  count,
  drainOnly: flag,
  heapMbMax: count,
  deferred: flag,
  expendable: flag,
};

const tuningRules: Rules = {
  startTimeoutMs: delay,
  callTimeoutMs: delay,
  stallCheckMs: number(1, 'a finite number of milliseconds, 1 or more'),
  stallChecksMax: count,
  drainGraceMs: delay,
  leaveMs: delay,
  moveMs: delay,
  supervision: record,
  rebalance: record,
};

const rebalanceRules: Rules = {
  lookMs: number(1, 'a finite number of milliseconds, 1 or more'),
  looks: count,
  movesPerMinuteMax: whole(0),
  hotAbove: share,
  coolBelow: share,
  shareMin: share,
  shareMax: share,
  movedShareMax: share,
};

/** As much of an `ActorDefinition` as has to be looked into. */
interface Declared {
  readonly kind: unknown;
  readonly mailbox?: unknown;
  readonly supervision?: unknown;
}

/** Throws INVALID_ARGUMENT with everything that is wrong about the definition. */
export function checkDefinition(definition: Declared): void {
  if (!record.admits(definition)) throw fail([`expected a definition to be an object, got ${describe(definition)}`]);
  const faults: string[] = [];
  const name = `actor kind ${describe(definition.kind)}`;
  check(faults, name, definition, definitionRules, ['kind', 'role', 'create']);
  if (record.admits(definition.mailbox)) check(faults, `the mailbox of ${name}`, definition.mailbox, mailboxRules);
  if (record.admits(definition.supervision)) {
    check(faults, `the supervision of ${name}`, definition.supervision, supervisionRules);
  }
  throwFaults(faults);
}

/** The same for what `startRuntime` is given. */
export function checkThreads(groups: readonly object[], tuning: object): void {
  const faults: string[] = [];
  const roles = new Set<unknown>();
  for (const group of groups) {
    const role: unknown = Reflect.get(group, 'role');
    const name = `thread group ${describe(role)}`;
    check(faults, name, group, groupRules, ['role', 'count']);
    if (roles.has(role) || role === 'main') faults.push(`expected ${name} to have a role of its own`);
    roles.add(role);
  }
  check(faults, 'tuning', tuning, tuningRules);
  const { supervision, rebalance } = tuning as { supervision?: unknown; rebalance?: unknown };
  if (record.admits(supervision)) check(faults, 'tuning.supervision', supervision, supervisionRules);
  if (record.admits(rebalance)) check(faults, 'tuning.rebalance', rebalance, rebalanceRules);
  throwFaults(faults);
}

/** `of` holds any of the names of `rules`, and all of `required`. */
function check(faults: string[], name: string, of: unknown, rules: Rules, required: readonly string[] = []): void {
  const given = new Map<string, unknown>(Object.entries(Object(of)));
  for (const field of required) if (!given.has(field)) given.set(field, undefined);
  for (const [field, value] of given) {
    const rule = Object.hasOwn(rules, field) ? rules[field] : undefined;
    if (rule === undefined) {
      faults.push(`expected ${name} to have only ${Object.keys(rules).join(', ')}, got ${describe(field)}`);
    } else if (!rule.admits(value)) {
      faults.push(`expected ${field} of ${name} to be ${rule.expected}, got ${describe(value)}`);
    }
  }
}

function throwFaults(faults: readonly string[]): void {
  if (faults.length > 0) throw fail(faults);
}

function fail(faults: readonly string[]): RuntimeError {
  return new RuntimeError('INVALID_ARGUMENT', faults.join('; '));
}

function whole(min: number): Rule {
  return {
    expected: `a whole number, ${min} or more`,
    admits: (value) => typeof value === 'number' && Number.isSafeInteger(value) && value >= min,
  };
}

function number(min: number, expected: string): Rule {
  return { expected, admits: (value) => typeof value === 'number' && Number.isFinite(value) && value >= min };
}

function oneOf(...names: string[]): Rule {
  return { expected: names.join(' or '), admits: (value) => names.some((name) => name === value) };
}
