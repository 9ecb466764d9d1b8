// The command line, parsed: pure, so that every spelling is testable without a process. Flags of settings are passed on
// untouched; config-load.ts knows them.

export const exitCodes = Object.freeze({
  ok: 0,
  /** The drain was cut short by its deadline or a second signal; nothing is lost. */
  cutShort: 1,
  usage: 64,
  /** Something needed is not available: a port, a folder, PostgreSQL. */
  unavailable: 69,
  /** A fault of ours. */
  software: 70,
  badConfig: 78,
});

export type CommandLine =
  | { command: 'start' | 'check-config'; configPath: string | undefined; flags: string[] }
  | { command: 'config-docs'; write: boolean }
  | { command: 'help' | 'version' }
  | { command: 'unusable'; problem: string };

export const helpText = `Sluice: accepts events, keeps them, delivers them in order.

Usage:
  sluice start [--config FILE] [--section.setting=value ...]
  sluice check-config [--config FILE] [--section.setting=value ...]
  sluice config-docs [--write]
  sluice --help | --version

Commands:
  start         run until SIGTERM or SIGINT; a second signal cuts the drain short
  check-config  read all settings and the workspace file, list every fault, start nothing
  config-docs   print the table of all settings; --write puts it into README.md

Settings come from ./sluice.yaml (or --config FILE, or SLUICE_CONFIG), then the environment
(gateway.port is SLUICE_GATEWAY_PORT), then flags (--gateway.port=8080). The later wins.

Exit codes:
  0 clean stop   1 drain cut short   64 wrong usage   69 something needed is unavailable   78 bad configuration
`;

/** `parameters`: what follows the program's name. */
export function parseCommandLine(parameters: readonly string[]): CommandLine {
  const [command, ...rest] = parameters;
  if (rest.includes('--help') || rest.includes('-h')) return { command: 'help' };
  switch (command) {
    case 'start':
    case 'check-config':
      return withConfigPath(command, rest);
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

function withConfigPath(command: 'start' | 'check-config', parameters: readonly string[]): CommandLine {
  const flags: string[] = [];
  let configPath: string | undefined;
  for (let index = 0; index < parameters.length; index += 1) {
    const parameter = parameters[index] ?? '';
    if (parameter !== '--config' && !parameter.startsWith('--config=')) {
      flags.push(parameter);
      continue;
    }
    const following = parameter === '--config' ? parameters[index + 1] : undefined;
    if (following !== undefined) index += 1;
    const path = following ?? parameter.slice('--config='.length);
    if (path === '' || path.startsWith('--')) return { command: 'unusable', problem: 'expected a file after --config' };
    configPath = path;
  }
  return { command, configPath, flags };
}
