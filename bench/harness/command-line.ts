// The benchmark's command line, parsed: pure, so that every spelling is testable without running anything.

import { UsageError } from './options.ts';

export interface Sweep {
  /** An option of the scenario (`connections`) or a setting of the product (`storage.groupRowsMax`). */
  key: string;
  values: readonly string[];
}

export interface RunCommand {
  command: 'run';
  scenario: string;
  /** Options of the scenario, by flag without dashes. */
  given: Readonly<Record<string, string>>;
  /** Settings of the product, as its own flags. */
  productFlags: readonly string[];
  sweeps: readonly Sweep[];
  profile: boolean;
  /** Short rounds where nothing else is given. */
  quick: boolean;
  json?: string;
  html?: string;
  picture?: string;
}

export interface TuneCommand extends Omit<RunCommand, 'command'> {
  command: 'tune';
  goal: string;
  output: string;
}

export interface AllCommand {
  command: 'all';
  quick: boolean;
  out: string;
  /** Names of scenarios; empty: all of them. */
  only: readonly string[];
  /** As `--set` takes them. */
  settings: readonly string[];
}

export type BenchCommand =
  | { command: 'help' | 'list' }
  | { command: 'compare'; before: string; after: string }
  | { command: 'report'; files: readonly string[]; html: string }
  | { command: 'results'; files: readonly string[]; output: string }
  | AllCommand
  | RunCommand
  | TuneCommand;

export const resultsFile = 'bench/RESULTS.md';
const tunedFile = 'sluice.tuned.yaml';

export const helpText = `Usage:
  npm run bench -- list
  npm run bench -- <scenario> [--option=value ...] [--json FILE] [--html FILE] [--picture FILE] [--profile]
                   [--quick] [--set section.setting=value ...] [--sweep key=a,b,c ...]
  npm run bench -- all --out FOLDER [--quick] [--only a,b,c] [--set section.setting=value ...]
  npm run bench -- tune <scenario> --goal throughput|p99<MS --sweep section.setting=a,b,c ... [--output FILE]
  npm run bench -- compare BEFORE.json AFTER.json
  npm run bench -- report FILE.json|FOLDER ... --html FILE
  npm run bench -- results FILE.json|FOLDER ... [--output ${resultsFile}]

  --json, --html  write the result as JSON, or as one self-contained page with plots
  --set           a setting of the product in place of its default
  --sweep         run once per value, in turns; key is an option of the scenario or a setting of the product
  --quick         short rounds: enough to see that something is off, too few to tell a change from noise
  --profile       CPU profile of every thread of the program: where the time of an event goes
  all             every scenario one after the other: JSON of each, RESULTS.md and report.html in the folder
  tune            search the values of the sweeps for a goal and write the winning settings with their evidence
  compare         what changed beyond noise; also of two folders that all filled
`;

type Value = string | readonly string[] | true;

const withFile = new Set(['json', 'html', 'picture', 'output', 'goal']);
const switches = new Set(['profile', 'quick']);
const repeated = new Set(['set', 'sweep']);

export function parseCommandLine(parameters: readonly string[]): BenchCommand {
  const { words, flags } = readFlags(parameters);
  const [command, ...rest] = words;
  switch (command) {
    case undefined:
    case 'help':
      return { command: 'help' };
    case 'list':
      return { command: 'list' };
    case 'all':
      return allCommand(rest, flags);
    case 'compare': {
      refuseOthers(command, flags, []);
      const [before, after, stray] = rest;
      if (before === undefined || after === undefined || stray !== undefined) {
        throw new UsageError('expected compare BEFORE.json AFTER.json');
      }
      return { command, before, after };
    }
    case 'report':
    case 'results': {
      refuseOthers(command, flags, command === 'report' ? ['html'] : ['output']);
      if (rest.length === 0) throw new UsageError(`expected ${command} FILE.json ..., got no file`);
      const html = text(flags, 'html');
      if (command === 'results') return { command, files: rest, output: text(flags, 'output') ?? resultsFile };
      if (html === undefined) throw new UsageError('expected report FILE.json ... --html FILE');
      return { command, files: rest, html };
    }
    case 'tune':
      return tuneCommand(rest, flags);
    default:
      if (rest.length > 0) throw new UsageError(`expected one scenario, got ${words.join(' ')}`);
      return { command: 'run', ...runOf(command, flags) };
  }
}

function allCommand(rest: readonly string[], flags: ReadonlyMap<string, Value>): AllCommand {
  refuseOthers('all', flags, ['quick', 'out', 'only', 'set']);
  const out = text(flags, 'out');
  if (rest.length > 0 || out === undefined) throw new UsageError('expected all --out FOLDER [--quick] [--only a,b,c]');
  const only = text(flags, 'only')?.split(',') ?? [];
  const settings = listOf(flags, 'set');
  // A wrong one is told before anything is measured.
  settings.map(productFlag);
  return { command: 'all', quick: flags.has('quick'), out, only, settings };
}

function refuseOthers(command: string, flags: ReadonlyMap<string, Value>, known: readonly string[]): void {
  const stray = [...flags.keys()].find((name) => !known.includes(name));
  if (stray === undefined) return;
  const all = known.map((name) => `--${name}`).join(', ');
  throw new UsageError(`${command} has no option --${stray}; it has ${all || 'none'}`);
}

function tuneCommand(rest: readonly string[], flags: ReadonlyMap<string, Value>): TuneCommand {
  const [scenario, stray] = rest;
  const goal = text(flags, 'goal');
  if (scenario === undefined || stray !== undefined) throw new UsageError('expected tune <scenario> --goal GOAL');
  if (goal === undefined) throw new UsageError('expected --goal throughput or --goal p99<MS');
  return { command: 'tune', ...runOf(scenario, flags), goal, output: text(flags, 'output') ?? tunedFile };
}

function runOf(scenario: string, flags: ReadonlyMap<string, Value>): Omit<RunCommand, 'command'> {
  const given: Record<string, string> = {};
  for (const [name, value] of flags) {
    if (withFile.has(name) || repeated.has(name) || switches.has(name)) continue;
    given[name] = String(value);
  }
  const [json, html, picture] = [text(flags, 'json'), text(flags, 'html'), text(flags, 'picture')];
  return {
    scenario,
    given,
    productFlags: listOf(flags, 'set').map(productFlag),
    sweeps: listOf(flags, 'sweep').map(parseSweep),
    profile: flags.has('profile'),
    quick: flags.has('quick'),
    ...(json === undefined ? {} : { json }),
    ...(html === undefined ? {} : { html }),
    ...(picture === undefined ? {} : { picture }),
  };
}

/** `key=a,b,c`, or `key=a..b*2` for a, 2a, 4a … up to b. */
export function parseSweep(sweep: string): Sweep {
  const at = sweep.indexOf('=');
  const key = sweep.slice(0, at);
  if (at < 1) throw new UsageError(`expected --sweep key=a,b,c, got ${sweep}`);
  const range = /^(\d+)\.\.(\d+)\*(\d+)$/.exec(sweep.slice(at + 1));
  const values = range === null ? sweep.slice(at + 1).split(',') : rangeValues(sweep, range.slice(1).map(Number));
  if (values.some((value) => value === '')) throw new UsageError(`expected --sweep ${key}=a,b,c, got an empty value`);
  if (new Set(values).size < values.length) throw new UsageError(`expected --sweep ${key} to name each value once`);
  return { key, values };
}

function rangeValues(sweep: string, [from = 0, to = 0, factor = 0]: readonly number[]): string[] {
  if (from < 1 || factor < 2 || to < from) {
    throw new UsageError(`expected --sweep key=from..to*factor with a factor of at least 2, got ${sweep}`);
  }
  const values: string[] = [];
  for (let value = from; value <= to; value *= factor) values.push(String(value));
  return values;
}

export function productFlag(setting: string): string {
  if (!/^[a-z][A-Za-z]*\.[A-Za-z.]+=/.test(setting)) {
    throw new UsageError(`expected --set section.setting=value, got ${setting}`);
  }
  return `--${setting}`;
}

function readFlags(parameters: readonly string[]): { words: string[]; flags: Map<string, Value> } {
  const words: string[] = [];
  const flags = new Map<string, Value>();
  for (let index = 0; index < parameters.length; index += 1) {
    const parameter = parameters[index] ?? '';
    if (!parameter.startsWith('--')) {
      words.push(parameter);
      continue;
    }
    const at = parameter.indexOf('=');
    const name = parameter.slice(2, at === -1 ? undefined : at);
    if (name === 'help') return { words: [], flags };
    if (switches.has(name)) {
      if (at !== -1) throw new UsageError(`expected --${name} without a value`);
      flags.set(name, true);
      continue;
    }
    const value = at === -1 ? parameters[index + 1] : parameter.slice(at + 1);
    if (value === undefined || (at === -1 && value.startsWith('--'))) {
      throw new UsageError(`expected a value after --${name}`);
    }
    if (at === -1) index += 1;
    if (repeated.has(name)) flags.set(name, [...listOf(flags, name), value]);
    else if (flags.has(name)) throw new UsageError(`expected --${name} once`);
    else flags.set(name, value);
  }
  return { words, flags };
}

function text(flags: ReadonlyMap<string, Value>, name: string): string | undefined {
  const value = flags.get(name);
  return typeof value === 'string' ? value : undefined;
}

function listOf(flags: ReadonlyMap<string, Value>, name: string): readonly string[] {
  const value = flags.get(name);
  return typeof value === 'object' ? value : [];
}
