// Options of scenarios: declared as data, so that the command line, the list and a sweep read the same declaration and
// a bad value is answered by a sentence that names the option, what was expected and what came. Pure.

export interface NumberOption {
  kind: 'number';
  default: number;
  min: number;
  max: number;
  /** Fractions are allowed. */
  fraction?: boolean;
  doc: string;
}

export interface NumbersOption extends Omit<NumberOption, 'kind' | 'default'> {
  kind: 'numbers';
  default: readonly number[];
}

export interface NamesOption {
  kind: 'names';
  default: readonly string[];
  among: readonly string[];
  doc: string;
}

export type OptionSpec = NumberOption | NumbersOption | NamesOption;
export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

type ValueOf<Spec extends OptionSpec> = Spec extends { kind: 'number' }
  ? number
  : Spec extends { kind: 'numbers' }
    ? readonly number[]
    : Spec extends { kind: 'names' }
      ? readonly string[]
      : never;

export type OptionValues<Specs extends OptionSpecs> = { readonly [Name in keyof Specs]: ValueOf<Specs[Name]> };

/** What is wrong with how the benchmark was called; printed without a stack. */
export class UsageError extends Error {}

export const rounds = (count = 5): NumberOption => ({
  kind: 'number',
  default: count,
  min: 1,
  max: 1000,
  doc: 'how often everything is measured, in turns; below 5 no change can be told from noise',
});

export const seconds = (count: number, doc = 'length of one measurement'): NumberOption => ({
  kind: 'number',
  default: count,
  min: 0.1,
  max: 86_400,
  fraction: true,
  doc,
});

export const count = (value: number, doc: string, max = 100_000_000): NumberOption => ({
  kind: 'number',
  default: value,
  min: 1,
  max,
  doc,
});

export const counts = (values: readonly number[], doc: string, max = 100_000_000): NumbersOption => ({
  kind: 'numbers',
  default: values,
  min: 1,
  max,
  doc,
});

export const names = (among: readonly string[], doc: string, chosen: readonly string[] = among): NamesOption => ({
  kind: 'names',
  default: chosen,
  among,
  doc,
});

/** `warmUpSeconds` is `--warm-up-seconds`. */
export function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** `given` by flag without dashes. */
export function readOptions<Specs extends OptionSpecs>(
  scenario: string,
  specs: Specs,
  given: Readonly<Record<string, string>>,
): OptionValues<Specs> {
  const known = new Map(Object.keys(specs).map((name) => [flagOf(name).slice(2), name]));
  for (const flag of Object.keys(given)) {
    if (known.has(flag)) continue;
    const all = [...known.keys()].map((each) => `--${each}`).join(', ');
    throw new UsageError(`scenario ${scenario} has no option --${flag}; it has ${all || 'none'}`);
  }
  const values = Object.entries(specs).map(([name, spec]) => {
    const flag = flagOf(name);
    const text = given[flag.slice(2)];
    return [name, text === undefined ? spec.default : readOption(flag, spec, text)];
  });
  return Object.fromEntries(values) as OptionValues<Specs>;
}

/** Values as they would be given: by flag without dashes. */
export function givenOf(values: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [flagOf(name).slice(2), String(value)]));
}

export function describeOption(spec: OptionSpec): string {
  if (spec.kind === 'names') return `some of ${spec.among.join(',')}`;
  const range = `${spec.fraction === true ? 'number' : 'integer'} from ${spec.min} to ${spec.max}`;
  return spec.kind === 'numbers' ? `list, each an ${range}` : range;
}

function readOption(flag: string, spec: OptionSpec, text: string): number | readonly number[] | readonly string[] {
  if (spec.kind === 'number') return readNumber(flag, spec, text);
  const parts = text.split(',').filter((part) => part !== '');
  if (parts.length === 0) throw new UsageError(`expected ${flag} to be ${describeOption(spec)}, got nothing`);
  if (spec.kind === 'numbers') return parts.map((part) => readNumber(flag, spec, part));
  const stray = parts.find((part) => !spec.among.includes(part));
  if (stray !== undefined) throw new UsageError(`expected ${flag} to be ${describeOption(spec)}, got ${stray}`);
  return parts;
}

function readNumber(flag: string, spec: NumberOption | NumbersOption, text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  const fits = Number.isFinite(value) && value >= spec.min && value <= spec.max;
  if (!fits || (spec.fraction !== true && !Number.isInteger(value))) {
    throw new UsageError(`expected ${flag} to be ${describeOption(spec)}, got ${text === '' ? 'nothing' : text}`);
  }
  return value;
}
