// The command check-config: reads everything a start would read, starts nothing, and says what it found.

import { readFile } from 'node:fs/promises';
import { formatConfigFaults } from '../runtime/index.ts';
import { exitCodes } from './cli.ts';
import { closedAddressProblems } from './closed-addresses.ts';
import { readSettings, type SettingsRequest } from './config-file.ts';
import { RefusedDestinations } from './refused-destinations.ts';
import { formatWorkspaceFaults, parseWorkspaceFile } from './services/workspace-file.ts';

export interface CommandOutput {
  exitCode: number;
  /** Exactly one of them is not empty. */
  out: string;
  problem: string;
}

export async function checkConfig(request: SettingsRequest): Promise<CommandOutput> {
  const settings = readSettings(request);
  if (!settings.ok) return bad(formatConfigFaults(settings.faults));
  const lines = [
    settings.filePath === undefined ? 'No configuration file.' : `Configuration file: ${settings.filePath}`,
  ];
  const changed = [...settings.origins].map(([path, source]) => `  ${path} (${source})`);
  lines.push(
    changed.length === 0
      ? 'All settings are at their defaults.'
      : `Settings that are not at their defaults:\n${changed.join('\n')}`,
  );
  const { url } = settings.settings.backendConfig;
  if (url !== '') return good([...lines, `Workspace: of the control plane ${new URL(url).origin}, not asked now.`]);
  const path = settings.settings.workspace.file;
  if (path === '') return good([...lines, 'Workspace: the starter workspace.']);
  try {
    const reading = parseWorkspaceFile({ path, bytes: await readFile(path), environment: request.environment });
    if (!reading.ok)
      return bad(`Bad workspace file ${path}:\n  - ${formatWorkspaceFaults(reading.faults, '\n  - ')}\n`);
    const destinations = new Set(reading.sources.flatMap((source) => source.destinations.map(({ id }) => id)));
    const refused = new RefusedDestinations(settings.settings.transformer);
    return good([
      ...lines,
      `Workspace: ${path}, sources: ${reading.sources.length}, destinations: ${destinations.size}.`,
      ...[
        ...refused.replace(reading.sources, 0),
        ...closedAddressProblems(reading.sources, settings.settings.egress.allow),
      ].map((problem) => `Warning: ${problem}.`),
    ]);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    return bad(`Bad workspace file ${path}: it cannot be read (${code}).\n`);
  }
}

function good(lines: readonly string[]): CommandOutput {
  return { exitCode: exitCodes.ok, out: `${lines.join('\n')}\nThe configuration is good.\n`, problem: '' };
}

function bad(problem: string): CommandOutput {
  return { exitCode: exitCodes.badConfig, out: '', problem };
}
