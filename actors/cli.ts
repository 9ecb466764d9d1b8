// The command line, parsed: pure, so that every spelling is testable without a process. Flags of settings are passed on
// untouched; config-load.ts knows them.

export const exitCodes = Object.freeze({
  ok: 0,
  /** The drain was cut short by its deadline or a second signal; nothing is lost. */
  cutShort: 1,
  /** A command found something that must be mended. */
  found: 1,
  usage: 64,
  /** Something needed is not available: a port, a folder, PostgreSQL. */
  unavailable: 69,
  /** A fault of ours. */
  software: 70,
  badConfig: 78,
});

/** Where settings come from beyond the environment. */
export interface SettingsParameters {
  configPath: string | undefined;
  flags: string[];
}

export interface LedgerParameters {
  json: boolean;
  byMinute: boolean;
  /** Only events received from this epoch minute on. */
  sinceMinute: number | undefined;
  /** Only this source. */
  source: string | undefined;
}

export interface TransformParameters {
  codePath: string;
  /** A JSON object, or a list of them. */
  eventPath: string;
  /** Folder of `<name>.js`, which the code may import. */
  librariesPath: string | undefined;
  /** A JSON object of texts. */
  credentialsPath: string | undefined;
  json: boolean;
}

export interface BlockedParameters {
  json: boolean;
  /** '': all. */
  destination: string;
  /** Job to give up; undefined: list. */
  release: number | undefined;
}

export type CommandLine =
  | ({ command: 'start' | 'check-config' } & SettingsParameters)
  | ({ command: 'doctor'; json: boolean } & SettingsParameters)
  | ({ command: 'ledger' } & LedgerParameters & SettingsParameters)
  | ({ command: 'reports' } & Omit<LedgerParameters, 'byMinute'> & SettingsParameters)
  | ({ command: 'debug-bundle'; out: string | undefined; upload: boolean } & SettingsParameters)
  | ({ command: 'job'; messageId: string; json: boolean } & SettingsParameters)
  | ({
      command: 'dead-letters';
      action: 'list' | 'export' | 'retry';
      filter: Record<string, string>;
    } & SettingsParameters)
  | ({ command: 'blocked' } & BlockedParameters & SettingsParameters)
  | ({ command: 'transform' } & TransformParameters & SettingsParameters)
  | ({ command: 'migrate'; to: number | undefined; status: boolean } & SettingsParameters)
  | { command: 'config-docs'; write: boolean }
  | { command: 'help' | 'version' }
  | { command: 'unusable'; problem: string };

export const helpText = `Sluice: accepts events, keeps them, delivers them in order.

Usage:
  sluice start [--config FILE] [--section.setting=value ...]
  sluice check-config [--config FILE] [--section.setting=value ...]
  sluice doctor [--json]
  sluice ledger [--since TIME] [--source ID] [--by-minute] [--json]
  sluice reports [--since TIME] [--source ID] [--json]
  sluice job MESSAGE_ID [--json]
  sluice dead-letters list|export|retry [--destination ID] [--source ID] [--code N] [--since TIME]
  sluice blocked [--destination ID] [--release JOB_ID] [--json]
  sluice migrate [--to VERSION] [--status]
  sluice transform test FILE --event EVENT.json [--libraries FOLDER] [--credentials FILE] [--json]
  sluice debug-bundle [--out FOLDER | --upload]
  sluice config-docs [--write]
  sluice --help | --version

Commands:
  start         run until SIGTERM or SIGINT; a second signal cuts the drain short
  check-config  read all settings and the workspace file, list every fault, start nothing
  doctor        look at everything a start needs and say what to mend; 1 when something must be mended
  ledger        show that what came in is what went out or waits; 1 when it is not
  reports       what became of events at each stage, of the last hour; only where reports are switched on
  job           where an event is: every step and attempt of its way; 1 when nothing of it is kept
  dead-letters  list, export or try again what was given up, of the program that runs at admin.host and admin.port
  blocked       users whose events wait behind one that failed; --release gives that one up
  migrate       bring the database to the newest version, or to VERSION, also an older one; --status lists them
  transform     test: run the code of FILE over an event, or a list of them, and show what comes out; 1 when one fails
  debug-bundle  settings without secrets and what the running program says of itself, as one file in FOLDER (here)
                or, with --upload, in the storage of the archive
  config-docs   print the table of all settings; --write puts it into README.md

All of them but config-docs take --config and settings like start. TIME is ISO 8601 (2026-01-31T10:00Z) or an age: 90m,
24h, 7d.

Settings come from ./sluice.yaml (or --config FILE, or SLUICE_CONFIG), then the environment
(gateway.port is SLUICE_GATEWAY_PORT), then flags (--gateway.port=8080). The later wins.

Exit codes:
  0 all well   1 drain cut short, or something found by doctor, ledger or transform   64 wrong usage   69 something needed is unavailable   78 bad configuration
`;

/** `parameters`: what follows the program's name. */
export function parseCommandLine(parameters: readonly string[], nowMs: number): CommandLine {
  const [command, ...rest] = parameters;
  if (rest.includes('--help') || rest.includes('-h')) return { command: 'help' };
  switch (command) {
    case 'start':
    case 'check-config':
    case 'doctor':
    case 'ledger':
    case 'blocked':
    case 'reports':
    case 'debug-bundle':
    case 'migrate':
      return withOwnOptions(command, rest, nowMs);
    case 'job': {
      const [messageId = '', ...others] = rest;
      if (messageId === '' || messageId.startsWith('--')) return unusable('expected a message id after job');
      const parsed = withOwnOptions(command, others, nowMs);
      return parsed.command === 'job' ? { ...parsed, messageId } : parsed;
    }
    case 'dead-letters': {
      const [action, ...others] = rest;
      if (action !== 'list' && action !== 'export' && action !== 'retry') {
        return unusable('expected list, export or retry after dead-letters');
      }
      const parsed = withOwnOptions(command, others, nowMs);
      return parsed.command === 'dead-letters' ? { ...parsed, action } : parsed;
    }
    case 'transform': {
      const [action, codePath = '', ...others] = rest;
      if (action !== 'test') return unusable('expected test after transform');
      if (codePath === '' || codePath.startsWith('--')) return unusable('expected a file of code after transform test');
      const parsed = withOwnOptions(command, others, nowMs);
      return parsed.command === 'transform' ? { ...parsed, codePath } : parsed;
    }
    case 'config-docs': {
      const stray = rest.find((parameter) => parameter !== '--write');
      if (stray !== undefined) return { command: 'unusable', problem: 'config-docs takes only --write' };
      return { command, write: rest.includes('--write') };
    }
    case '--help':
    case '-h':
    case 'help':
      return { command: 'help' };
    case '--version':
    case '-v':
    case 'version':
      return { command: 'version' };
    case undefined:
      return { command: 'unusable', problem: 'expected a command' };
    default:
      return { command: 'unusable', problem: `expected a command, got ${JSON.stringify(command)}` };
  }
}

type SettingsCommand = Extract<CommandLine, SettingsParameters>['command'];

/** Options that are the command's own, and whether a value follows; everything else is a setting. */
const ownOptions: Readonly<Record<SettingsCommand, Readonly<Record<string, 'switch' | 'value'>>>> = {
  start: {},
  'check-config': {},
  doctor: { json: 'switch' },
  ledger: { json: 'switch', 'by-minute': 'switch', since: 'value', source: 'value' },
  reports: { json: 'switch', since: 'value', source: 'value' },
  'debug-bundle': { out: 'value', upload: 'switch' },
  job: { json: 'switch' },
  'dead-letters': { destination: 'value', source: 'value', code: 'value', since: 'value' },
  blocked: { json: 'switch', destination: 'value', release: 'value' },
  migrate: { status: 'switch', to: 'value' },
  transform: { event: 'value', libraries: 'value', credentials: 'value', json: 'switch' },
};

function withOwnOptions(command: SettingsCommand, parameters: readonly string[], nowMs: number): CommandLine {
  const flags: string[] = [];
  const given = new Map<string, string>();
  const kinds: Readonly<Record<string, 'switch' | 'value'>> = { ...ownOptions[command], config: 'value' };
  for (let index = 0; index < parameters.length; index += 1) {
    const parameter = parameters[index] ?? '';
    const [, name = '', , inline] = /^--([a-z-]+)(=(.*))?$/s.exec(parameter) ?? [];
    const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined;
    if (kind === undefined) {
      flags.push(parameter);
      continue;
    }
    if (kind === 'switch' && inline !== undefined) return unusable(`expected --${name} without a value`);
    const following = kind === 'value' && inline === undefined ? parameters[index + 1] : undefined;
    if (following !== undefined) index += 1;
    const value = following ?? inline ?? '';
    if (kind === 'value' && (value === '' || value.startsWith('--')))
      return unusable(`expected ${valueNames[name]} after --${name}`);
    given.set(name, value);
  }
  return commandOf(command, given, { configPath: given.get('config'), flags }, nowMs);
}

const valueNames: Readonly<Record<string, string>> = {
  config: 'a file',
  destination: 'the id of a destination',
  release: 'the id of a job',
  since: 'a time',
  source: 'the id of a source',
  code: 'a number',
  to: 'a version',
  event: 'a file',
  libraries: 'a folder',
  out: 'a folder',
  credentials: 'a file',
};

function commandOf(
  command: SettingsCommand,
  given: ReadonlyMap<string, string>,
  settings: SettingsParameters,
  nowMs: number,
): CommandLine {
  switch (command) {
    case 'doctor':
      return { command, json: given.has('json'), ...settings };
    case 'job':
      return { command, messageId: '', json: given.has('json'), ...settings };
    case 'dead-letters': {
      const { destination: destinationId, source: sourceId, code, since } = Object.fromEntries(given);
      const sinceMinute = since === undefined ? undefined : readSinceMinute(since, nowMs);
      if (Number.isNaN(sinceMinute))
        return unusable(`expected --since as ISO 8601 or an age, got ${JSON.stringify(since)}`);
      const from = sinceMinute === undefined ? undefined : new Date(sinceMinute * 60_000).toISOString();
      const entries = Object.entries({ destinationId, sourceId, code, since: from });
      const filter = Object.fromEntries(entries.filter((entry): entry is [string, string] => entry[1] !== undefined));
      return { command, action: 'list', filter, ...settings };
    }
    case 'debug-bundle':
      return { command, out: given.get('out'), upload: given.has('upload'), ...settings };
    case 'reports':
    case 'ledger': {
      const since = given.get('since');
      const sinceMinute = since === undefined ? undefined : readSinceMinute(since, nowMs);
      if (sinceMinute !== undefined && Number.isNaN(sinceMinute)) {
        return unusable(`expected --since as ISO 8601 or an age like 90m, 24h or 7d, got ${JSON.stringify(since)}`);
      }
      const own = { json: given.has('json'), sinceMinute, source: given.get('source') };
      if (command === 'reports') return { command, ...own, ...settings };
      return { command, ...own, byMinute: given.has('by-minute'), ...settings };
    }
    case 'blocked': {
      const release = given.get('release');
      if (release !== undefined && !/^\d{1,15}$/.test(release)) {
        return unusable(`expected --release with the id of a job, got ${JSON.stringify(release)}`);
      }
      const wanted = { destination: given.get('destination') ?? '', json: given.has('json') };
      return { command, ...wanted, release: release === undefined ? undefined : Number(release), ...settings };
    }
    case 'transform': {
      const eventPath = given.get('event');
      if (eventPath === undefined) return unusable('expected --event with a file of one event, or a list of them');
      const own = { codePath: '', librariesPath: given.get('libraries'), credentialsPath: given.get('credentials') };
      return { command, ...own, eventPath, json: given.has('json'), ...settings };
    }
    case 'migrate': {
      const to = given.get('to');
      if (to !== undefined && !/^\d{1,4}$/.test(to)) {
        return unusable(`expected --to with a version number, got ${JSON.stringify(to)}`);
      }
      return { command, to: to === undefined ? undefined : Number(to), status: given.has('status'), ...settings };
    }
    default:
      return { command, ...settings };
  }
}

const msPerMinute = 60_000;
const minutesByUnit: Readonly<Record<string, number>> = { m: 1, h: 60, d: 1_440 };

/** NaN when it is neither a moment nor an age. */
function readSinceMinute(text: string, nowMs: number): number {
  const [, amount, unit = ''] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  if (amount !== undefined) return Math.floor(nowMs / msPerMinute) - Number(amount) * (minutesByUnit[unit] ?? 1);
  return /^\d{4}-\d\d-\d\d/.test(text) ? Math.floor(Date.parse(text) / msPerMinute) : Number.NaN;
}

function unusable(problem: string): CommandLine {
  return { command: 'unusable', problem };
}
