// `npm run bench`: runs scenarios, compares and reports their results. Everything it can do stands in
// harness/command-line.ts; what a scenario declares in harness/scenario.ts.

import { writeFileSync } from 'node:fs';
import {
  type BenchCommand,
  helpText,
  parseCommandLine,
  type RunCommand,
  type TuneCommand,
} from './harness/command-line.ts';
import { compareRecords, comparisonText } from './harness/compare.ts';
import { htmlReport } from './harness/html-report.ts';
import { givenOf, UsageError } from './harness/options.ts';
import { readAllRecords, writeRecords } from './harness/record-file.ts';
import { resultsPage } from './harness/results-page.ts';
import { outcomesText, runAll } from './harness/run-all.ts';
import { combinations, runScenario, runSweep, type Varied } from './harness/run-scenario.ts';
import type { BenchRecord, Scenario } from './harness/scenario.ts';
import { listText, recordText } from './harness/terminal-table.ts';
import { parseGoal, stepText, tune, tunedFile } from './harness/tune.ts';
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
    case 'all': {
      const outcomes = await runAll(scenarios, command, process.argv[1] ?? '');
      console.log(outcomesText(outcomes));
      return outcomes.every(({ outcome }) => outcome === 'ok') ? exitCodes.ok : exitCodes.faults;
    }
    case 'run':
      return run(command);
    case 'tune':
      return tuneSettings(command);
    case 'compare': {
      const comparisons = compareRecords(readAllRecords([command.before]), readAllRecords([command.after]));
      for (const comparison of comparisons) console.log(comparisonText(comparison));
      return comparisons.some(({ faults }) => faults.length > 0) ? exitCodes.faults : exitCodes.ok;
    }
    case 'report':
      writeFileSync(command.html, htmlReport(readAllRecords(command.files)));
      return exitCodes.ok;
    case 'results':
      writeFileSync(command.output, resultsPage(readAllRecords(command.files)));
      return exitCodes.ok;
  }
}

async function tuneSettings(asked: TuneCommand): Promise<number> {
  const scenario = scenarioNamed(asked.scenario);
  const command = { ...asked, given: quickened(scenario, asked) };
  const records: BenchRecord[] = [];
  const measure = async (variants: readonly Varied[]): Promise<BenchRecord[]> => {
    const measured = await runSweep(scenario, command, variants);
    records.push(...measured);
    return measured;
  };
  const steps = await tune(parseGoal(command.goal), command.sweeps, measure);
  for (const step of steps) console.log(stepText(step));
  const title = `Found by tune ${scenario.name} --goal ${command.goal}, ${new Date().toISOString()}`;
  writeFileSync(command.output, tunedFile(title, steps));
  console.log(`written: ${command.output}`);
  keep(command, records);
  return records.some(hasFaults) ? exitCodes.faults : exitCodes.ok;
}

async function run(asked: Extract<BenchCommand, { command: 'run' }>): Promise<number> {
  const scenario = scenarioNamed(asked.scenario);
  const command = { ...asked, given: quickened(scenario, asked) };
  const records =
    command.sweeps.length === 0
      ? [await runScenario(scenario, command)]
      : await runSweep(scenario, command, combinations(command.sweeps));
  for (const record of records) console.log(recordText(record));
  keep(command, records);
  return records.some(hasFaults) ? exitCodes.faults : exitCodes.ok;
}

function quickened({ quick }: Scenario, command: Pick<RunCommand, 'given' | 'quick'>): Record<string, string> {
  return command.quick ? { ...givenOf(quick), ...command.given } : { ...command.given };
}

function keep(
  { json, html, picture }: Pick<RunCommand, 'json' | 'html' | 'picture'>,
  records: readonly BenchRecord[],
): void {
  if (json !== undefined) writeRecords(json, records);
  if (html !== undefined) writeFileSync(html, htmlReport(records));
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
  console.error(`${error.message}\n(npm run bench -- help tells the usage, npm run bench -- list the scenarios)`);
  process.exitCode = exitCodes.usage;
}
