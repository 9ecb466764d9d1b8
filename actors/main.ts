#!/usr/bin/env node
// The program: reads the command line and the environment (nothing else does), and composes the rest from them.

import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { formatConfigFaults } from '../runtime/index.ts';
import { checkConfig } from './check-config.ts';
import { exitCodes, helpText, parseCommandLine } from './cli.ts';
import { configTable, withConfigTable } from './config-docs.ts';
import { readSettings, type SettingsRequest } from './config-file.ts';
import { formatStartProblems, runStartChecks } from './start-checks.ts';

process.exitCode = await main(process.argv.slice(2));

async function main(parameters: readonly string[]): Promise<number> {
  const commandLine = parseCommandLine(parameters);
  switch (commandLine.command) {
    case 'help':
      process.stdout.write(helpText);
      return exitCodes.ok;
    case 'version':
      process.stdout.write(`${programVersion()}\n`);
      return exitCodes.ok;
    case 'unusable':
      process.stderr.write(`${commandLine.problem}\n\n${helpText}`);
      return exitCodes.usage;
    case 'config-docs':
      return writeConfigDocs(commandLine.write);
    case 'check-config': {
      const { exitCode, out, problem } = await checkConfig(requestOf(commandLine));
      process.stdout.write(out);
      process.stderr.write(problem);
      return exitCode;
    }
    case 'start':
      return start(requestOf(commandLine));
  }
}

/** Nothing is started before all settings are good and all checks have passed. */
async function start(request: SettingsRequest): Promise<number> {
  const settings = readSettings(request);
  if (!settings.ok) {
    process.stderr.write(formatConfigFaults(settings.faults));
    return exitCodes.badConfig;
  }
  const problems = formatStartProblems(await runStartChecks(settings.settings));
  if (problems !== undefined) {
    process.stderr.write(problems);
    return exitCodes.unavailable;
  }
  process.stderr.write('All start checks passed; this build has no pipeline to start.\n');
  return exitCodes.software;
}

function requestOf({ configPath, flags }: { configPath: string | undefined; flags: string[] }): SettingsRequest {
  return { configPath, flags, environment: process.env, folder: process.cwd() };
}

function writeConfigDocs(write: boolean): number {
  if (!write) {
    process.stdout.write(`${configTable()}\n`);
    return exitCodes.ok;
  }
  const path = join(packageFolder(), 'README.md');
  const readme = withConfigTable(readFileSync(path, 'utf8'));
  if (readme === undefined) {
    process.stderr.write(`Expected ${path} to have one pair of config markers.\n`);
    return exitCodes.software;
  }
  writeFileSync(path, readme);
  return exitCodes.ok;
}

function programVersion(): string {
  const manifest: { version: string } = JSON.parse(readFileSync(join(packageFolder(), 'package.json'), 'utf8'));
  return manifest.version;
}

/** The folder of package.json: the build may lie at any depth below it. */
function packageFolder(): string {
  let folder = import.meta.dirname;
  while (dirname(folder) !== folder) {
    try {
      readFileSync(join(folder, 'package.json'));
      return folder;
    } catch {
      folder = dirname(folder);
    }
  }
  throw new Error('expected a package.json above the program');
}
