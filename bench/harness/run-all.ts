// Runs every scenario one after the other, each in a process of its own: what one leaves in memory or in the compiler
// is then not the next one's, and one that fails does not take the others along. The results page is written anew after
// each, so that a run that is broken off has not been for nothing.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AllCommand } from './command-line.ts';
import { htmlReport } from './html-report.ts';
import { UsageError } from './options.ts';
import { readRecords } from './record-file.ts';
import { resultsPage } from './results-page.ts';
import type { Scenario } from './scenario.ts';
import { numberText, tableOf } from './terminal-table.ts';

/** Of one scenario of a quick run: whoever waits for minutes wants the others' figures at least. */
const quickMsMax = 240_000;
/** From the polite signal to the other one. */
const killMs = 30_000;

export interface Outcome {
  scenario: string;
  seconds: number;
  outcome: 'ok' | 'faults' | 'failed';
}

/** `program` is the benchmark's own entry. */
export async function runAll(
  scenarios: readonly Scenario[],
  command: AllCommand,
  program: string,
): Promise<readonly Outcome[]> {
  const chosen = chosenScenarios(scenarios, command.only);
  mkdirSync(command.out, { recursive: true });
  const outcomes: Outcome[] = [];
  for (const { name } of chosen) {
    const file = join(command.out, `${name}.json`);
    rmSync(file, { force: true });
    console.error(`all: ${name} (${outcomes.length + 1} of ${chosen.length})`);
    const beganAt = performance.now();
    const code = await runOne([program, name, '--json', file, ...flagsOf(command)], command.quick);
    const outcome = !existsSync(file) ? 'failed' : code === 0 ? 'ok' : 'faults';
    outcomes.push({ scenario: name, seconds: (performance.now() - beganAt) / 1000, outcome });
    writePages(command.out, outcomes);
  }
  return outcomes;
}

export function outcomesText(outcomes: readonly Outcome[]): string {
  const rows = outcomes.map(({ scenario, seconds, outcome }) => [scenario, numberText(Math.round(seconds)), outcome]);
  return tableOf(['scenario', 'seconds', 'outcome'], rows);
}

export function chosenScenarios(scenarios: readonly Scenario[], only: readonly string[]): readonly Scenario[] {
  const names = scenarios.map(({ name }) => name);
  const stray = only.find((name) => !names.includes(name));
  if (stray !== undefined) throw new UsageError(`expected --only to be some of ${names.join(',')}, got ${stray}`);
  return only.length === 0 ? scenarios : scenarios.filter(({ name }) => only.includes(name));
}

function flagsOf({ quick, settings }: AllCommand): string[] {
  return [...(quick ? ['--quick'] : []), ...settings.flatMap((setting) => ['--set', setting])];
}

async function runOne(parameters: readonly string[], quick: boolean): Promise<number | null> {
  const child = spawn(process.execPath, [...process.execArgv, ...parameters], { stdio: 'inherit' });
  const timers = quick
    ? [
        setTimeout(() => child.kill('SIGTERM'), quickMsMax),
        setTimeout(() => child.kill('SIGKILL'), quickMsMax + killMs),
      ]
    : [];
  const [code] = await once(child, 'exit');
  for (const timer of timers) clearTimeout(timer);
  return typeof code === 'number' ? code : null;
}

function writePages(folder: string, outcomes: readonly Outcome[]): void {
  const records = outcomes
    .filter(({ outcome }) => outcome !== 'failed')
    .flatMap(({ scenario }) => readRecords(join(folder, `${scenario}.json`)));
  writeFileSync(join(folder, 'RESULTS.md'), resultsPage(records));
  writeFileSync(join(folder, 'report.html'), htmlReport(records));
}
