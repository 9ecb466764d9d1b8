#!/usr/bin/env node
// The program: reads the command line and the environment (nothing else does), and composes the rest from them.

import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { formatConfigFaults, realSeams } from '../runtime/index.ts';
import { embeddedDataDirectory } from '../transport/index.ts';
import { releaseBallastIfFull } from './ballast.ts';
import { runBlockedCommand } from './blocked-command.ts';
import { checkConfig } from './check-config.ts';
import { exitCodes, helpText, parseCommandLine, type TransformParameters } from './cli.ts';
import { type CommandDatabase, type CommandDatabaseOptions, withCommandDatabase } from './command-database.ts';
import type { Settings } from './config.ts';
import { configTable, withTables } from './config-docs.ts';
import { readSettings, type SettingsRequest } from './config-file.ts';
import { type DeadLetterParameters, runDeadLetterCommand } from './dead-letter-command.ts';
import { type DebugBundleParameters, runDebugBundleCommand } from './debug-bundle-command.ts';
import { runDoctorCommand } from './doctor-command.ts';
import { runJobCommand } from './job-command.ts';
import { runLedgerCommand } from './ledger-command.ts';
import { createLog } from './log.ts';
import { runMigrateCommand } from './migrate-command.ts';
import { startProgram } from './program.ts';
import { runReportCommand } from './report-command.ts';
import { WorkspaceFileError } from './services/backend-config.ts';
import { formatStartProblems, runStartChecks, type StartCheck } from './start-checks.ts';
import { StartError } from './start-error.ts';
import { StopRequests } from './stop-requests.ts';
import { runTransformCommand } from './transform-command.ts';

// Our threads have small heaps, and message buffers that come and go beside them. V8 counts both but lets a heap grow by
// 8 MB only before it marks all of it again: 10 full collections a second at 15,000 requests/s, a fifth of our CPU.
// This is the factor V8 itself allows when collections become costly; it costs about 40 MB.
setFlagsFromString('--heap-growing-percent=300');

/** A database with a day of backlog is read whole. */
const ledgerTimeoutMs = 600_000;

// An exit and not only an exit code: nothing that is still open may hold a stopped program back.
process.exit(await main(process.argv.slice(2)));

async function main(parameters: readonly string[]): Promise<number> {
  const commandLine = parseCommandLine(parameters, Date.now());
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
    case 'doctor':
      return doctor(requestOf(commandLine), commandLine.json);
    case 'ledger':
      return withDatabase(requestOf(commandLine), { statementTimeoutMs: ledgerTimeoutMs }, async (database) => {
        const { exitCode, out } = await runLedgerCommand(commandLine, database);
        process.stdout.write(out);
        return exitCode;
      });
    case 'reports':
      return withDatabase(requestOf(commandLine), {}, async (database) => {
        const { exitCode, out } = await runReportCommand(commandLine, database, Date.now());
        process.stdout.write(out);
        return exitCode;
      });
    case 'debug-bundle':
      return debugBundle(requestOf(commandLine), commandLine);
    case 'job':
      return withDatabase(requestOf(commandLine), {}, async (database) => {
        const { exitCode, out } = await runJobCommand(commandLine, database, Date.now());
        process.stdout.write(out);
        return exitCode;
      });
    case 'dead-letters':
      return deadLetters(requestOf(commandLine), commandLine);
    case 'blocked':
      return withDatabase(requestOf(commandLine), {}, async (database) => {
        const { exitCode, out } = await runBlockedCommand(commandLine, database, Date.now());
        process.stdout.write(out);
        return exitCode;
      });
    case 'transform':
      return transform(requestOf(commandLine), commandLine);
    case 'migrate':
      return withDatabase(requestOf(commandLine), { statementTimeoutMs: 0 }, async (database) => {
        process.stdout.write(await runMigrateCommand(commandLine, database));
        return exitCodes.ok;
      });
  }
}

/** Nothing is started before all settings are good and all checks have passed. */
async function start(request: SettingsRequest): Promise<number> {
  const read = readSettings(request);
  if (!read.ok) {
    process.stderr.write(formatConfigFaults(read.faults));
    return exitCodes.badConfig;
  }
  const { settings } = read;
  const released =
    settings.postgres.url === ''
      ? releaseBallastIfFull(embeddedDataDirectory(settings.data.dir), settings.storage.diskRefuseBytes)
      : 0;
  if (released > 0) process.stderr.write(`The disk is full: the ballast of ${released} bytes was given up.\n`);
  const checks = await runStartChecks(settings);
  const problems = formatStartProblems(checks);
  if (problems !== undefined) {
    process.stderr.write(problems);
    return exitCodes.unavailable;
  }
  // Timers of ours do not keep the process alive; until the drain is over, this one does.
  const alive = setInterval(() => undefined, 60_000);
  try {
    return await runUntilStopped(settings, checks);
  } catch (error) {
    return reportFailedStart(error);
  } finally {
    clearInterval(alive);
  }
}

async function doctor(request: SettingsRequest, json: boolean): Promise<number> {
  const read = readSettings(request);
  if (!read.ok) {
    process.stderr.write(formatConfigFaults(read.faults));
    return exitCodes.badConfig;
  }
  const alive = setInterval(() => undefined, 60_000);
  try {
    const { exitCode, out } = await runDoctorCommand({
      settings: read.settings,
      log: createLog({ ...read.settings.log, level: 'error' }, 'main'),
      json,
      version: programVersion(),
      nodeVersion: process.version,
      nowMs: () => Date.now(),
      monotonicMs: () => performance.now(),
    });
    process.stdout.write(out);
    return exitCode;
  } finally {
    clearInterval(alive);
  }
}

async function deadLetters(request: SettingsRequest, parameters: DeadLetterParameters): Promise<number> {
  const read = readSettings(request);
  if (!read.ok) {
    process.stderr.write(formatConfigFaults(read.faults));
    return exitCodes.badConfig;
  }
  const alive = setInterval(() => undefined, 60_000);
  try {
    const { exitCode, out } = await runDeadLetterCommand(parameters, read.settings);
    process.stdout.write(out);
    return exitCode;
  } catch (error) {
    return reportFailure(error, 'The command cannot be run');
  } finally {
    clearInterval(alive);
  }
}

async function transform(request: SettingsRequest, parameters: TransformParameters): Promise<number> {
  const read = readSettings(request);
  if (!read.ok) {
    process.stderr.write(formatConfigFaults(read.faults));
    return exitCodes.badConfig;
  }
  const alive = setInterval(() => undefined, 60_000);
  try {
    const { clock } = realSeams();
    const { exitCode, out, problem } = await runTransformCommand({ ...parameters, settings: read.settings, clock });
    process.stdout.write(out);
    process.stderr.write(problem);
    return exitCode;
  } finally {
    clearInterval(alive);
  }
}

async function debugBundle(request: SettingsRequest, command: DebugBundleParameters): Promise<number> {
  const read = readSettings(request);
  if (!read.ok) {
    process.stderr.write(formatConfigFaults(read.faults));
    return exitCodes.badConfig;
  }
  const { settings } = read;
  const alive = setInterval(() => undefined, 60_000);
  const all = { json: true, byMinute: false, sinceMinute: undefined, source: undefined };
  const log = createLog({ ...settings.log, level: 'error' }, 'main');
  try {
    const { exitCode, out } = await runDebugBundleCommand(command, {
      settings,
      version: programVersion(),
      nodeVersion: process.version,
      nowMs: Date.now(),
      ledger: () =>
        withCommandDatabase({ settings, log, statementTimeoutMs: ledgerTimeoutMs }, async (database) => {
          return (await runLedgerCommand(all, database)).out;
        }),
    });
    process.stdout.write(out);
    return exitCode;
  } catch (error) {
    return reportFailure(error, 'The bundle cannot be made');
  } finally {
    clearInterval(alive);
  }
}

/** For commands that need a database and end. */
async function withDatabase(
  request: SettingsRequest,
  options: Omit<CommandDatabaseOptions, 'settings' | 'log'>,
  work: (database: CommandDatabase, settings: Settings) => Promise<number>,
): Promise<number> {
  const read = readSettings(request);
  if (!read.ok) {
    process.stderr.write(formatConfigFaults(read.faults));
    return exitCodes.badConfig;
  }
  const { settings } = read;
  const log = createLog({ ...settings.log, level: 'warn' }, 'main');
  const alive = setInterval(() => undefined, 60_000);
  try {
    return await withCommandDatabase({ settings, log, ...options }, (database) => work(database, settings));
  } catch (error) {
    return reportFailure(error, 'The command cannot be run');
  } finally {
    clearInterval(alive);
  }
}

async function runUntilStopped(settings: Settings, checks: readonly StartCheck[]): Promise<number> {
  const log = createLog(settings.log, 'main');
  // From here on: also those that come during the start.
  const stop = new StopRequests(() => performance.now());
  process.on('SIGTERM', () => stop.signal('SIGTERM'));
  process.on('SIGINT', () => stop.signal('SIGINT'));
  const program = await startProgram({
    settings,
    version: programVersion(),
    environment: process.env,
    log,
    checks: checks.flatMap((check) => (check.ok ? [check.text] : [])),
    startedAtMs: Date.now() - process.uptime() * 1000,
    print: (text) => process.stdout.write(text),
    onFailed: (reason) => stop.fail(reason),
    process,
  });
  process.on('SIGHUP', () => void program.reloadWorkspace());
  const failure = await stop.first;
  if (failure === undefined)
    log.info({ deadlineMs: settings.drain.deadlineMs }, 'draining; a second signal cuts it short');
  else log.error({ reason: failure }, 'the program cannot go on and drains');
  const drained = program.drain(settings.drain.deadlineMs);
  void stop.second.then(() => program.drain(0));
  const clean = await drained;
  if (failure !== undefined) return exitCodes.unavailable;
  if (clean) log.info({}, 'drained; everything accepted is in Postgres');
  else log.warn({}, 'the drain was cut short; what was not finished is in Postgres and goes on at the next start');
  return clean ? exitCodes.ok : exitCodes.cutShort;
}

function reportFailedStart(error: unknown): number {
  return reportFailure(error, 'Sluice cannot start');
}

function reportFailure(error: unknown, what: string): number {
  if (error instanceof StartError) {
    process.stderr.write(`${what}:\n  - ${error.message} ${error.fix}\n`);
    return error.exitCode;
  }
  if (error instanceof WorkspaceFileError) {
    process.stderr.write(`${what}:\n  - ${error.message}\n`);
    return exitCodes.badConfig;
  }
  process.stderr.write(`${what}: ${error instanceof Error ? error.stack : String(error)}\n`);
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
  const readme = withTables(readFileSync(path, 'utf8'));
  if (readme === undefined) {
    process.stderr.write(`Expected ${path} to have one pair of markers for each table.\n`);
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
