// `npm run bench`: runs scenarios, compares and reports their results. Everything it can do stands in
// harness/command-line.ts; what a scenario declares in harness/scenario.ts.

import { writeFileSync } from 'node:fs';
import { type BenchCommand, helpText, parseCommandLine, type RunCommand } from './harness/command-line.ts';
import { UsageError } from './harness/options.ts';
import { writeRecords } from './harness/record-file.ts';
import { combinations, runScenario, runSweep } from './harness/run-scenario.ts';
import type { BenchRecord, Scenario } from './harness/scenario.ts';
import { listText, recordText } from './harness/terminal-table.ts';
import { scenarios } from './scenarios.ts';

const exitCodes = { ok: 0, faults: 1, usage: 64 };

async function main(): Promise<number> {
  const command = parseCommandLine(process.argv.slice(2));
  switch (command.command) {
    case 'help':
      console.log(helpText);
      return exitCodes.ok;
    case 'list':
      console.log(listText(scenarios));
      return exitCodes.ok;
    case 'run':
      return run(command);
    default:
      throw new UsageError(`${command.command} cannot be done yet`);
  }
}

async function run(command: Extract<BenchCommand, { command: 'run' }>): Promise<number> {
  const scenario = scenarioNamed(command.scenario);
  const records =
    command.sweeps.length === 0
      ? [await runScenario(scenario, command)]
      : await runSweep(scenario, command, combinations(command.sweeps));
  for (const record of records) console.log(recordText(record));
  keep(command, records);
  return records.some(hasFaults) ? exitCodes.faults : exitCodes.ok;
}

function keep({ json, picture }: RunCommand, records: readonly BenchRecord[]): void {
  if (json !== undefined) writeRecords(json, records);
  const drawn = records[0]?.pictures?.[0];
  if (picture === undefined) return;
  if (drawn === undefined) throw new UsageError('this scenario draws no picture of its own; --html has plots');
  writeFileSync(picture, drawn.svg);
}

function hasFaults({ checks }: BenchRecord): boolean {
  return checks.some(({ faults }) => faults.length > 0);
}

function scenarioNamed(name: string): Scenario {
  const scenario = scenarios.find((one) => one.name === name);
  if (scenario !== undefined) return scenario;
  throw new UsageError(`expected a scenario (${scenarios.map((one) => one.name).join(', ')}), got ${name}`);
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`${error.message}\n\n${helpText}`);
  process.exitCode = exitCodes.usage;
}
