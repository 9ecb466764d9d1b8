// The page bench/RESULTS.md, made from results: goals first, then what was measured, each scenario with its date and settings, so
// that no number in the repository stands without what it was measured with. Pure.

import { spreadOf } from './figures.ts';
import { byRow, goalRows } from './goal-rows.ts';
import type { BenchRecord } from './scenario.ts';
import { numberText, settingText, variedText } from './terminal-table.ts';

export function resultsPage(records: readonly BenchRecord[]): string {
  const parts = [
    '# Results',
    'Written by `npm run bench -- results` or `all`; do not edit. Medians of the rounds, with the least and the most.' +
      ' Only ratios of one run tell anything on another machine.',
    goalsTable(records),
    ...records.map(recordPart),
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

function goalsTable(records: readonly BenchRecord[]): string {
  const measured = records.flatMap(({ scenario, measuredAt, goals, notMeasured = [] }) => [
    ...goals.map(({ row, what, goal, measured: value, spread, met }) => ({
      row,
      cells: [
        what,
        goal,
        numberText(value),
        spread === undefined ? '' : `${numberText(spread[0])} .. ${numberText(spread[1])}`,
        met ? 'met' : '**not met**',
        scenario,
        measuredAt.slice(0, 10),
      ],
    })),
    ...notMeasured.map(({ row, why }) => ({
      row,
      cells: [why, '', '', '', 'not measured', scenario, measuredAt.slice(0, 10)],
    })),
  ]);
  const seen = new Set(measured.map(({ row }) => row));
  const missing = Object.entries(goalRows)
    .filter(([row]) => !seen.has(row))
    .map(([row, what]) => ({ row, cells: [what, '', '', '', 'not measured', '', ''] }));
  const rows = byRow([...measured, ...missing]).map(({ row, cells }) => [row, ...cells]);
  const header = ['Row', 'What', 'Goal', 'Measured', 'Spread', '', 'Scenario', 'Date'];
  return `## Goals\n\n${markdownTable(header, rows)}`;
}

function recordPart(record: BenchRecord): string {
  const faults = record.checks.flatMap((check) => check.faults.map((fault) => `- **${check.name}**: ${fault}`));
  const settings = Object.entries(record.settings).map(([name, value]) => `${name} ${settingText(value)}`);
  return [
    `## ${record.scenario}${variedText(record.varied)}`,
    `Measured ${record.measuredAt}. ${settings.join('; ')}.`,
    faults.length === 0
      ? record.checks.length === 0
        ? ''
        : `Checks passed: ${record.checks.map(({ name }) => name).join('; ')}.`
      : `Checks FAILED:\n\n${faults.join('\n')}`,
    figuresTable(record),
    ratiosTable(record),
    latenciesTable(record),
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

function figuresTable({ figures }: BenchRecord): string {
  const rows = figures.map(({ name, of, unit, rounds }) => [name, of, ...spreadCells(rounds), unit]);
  return markdownTable(['Figure', 'Of', 'Median', 'Spread', 'Unit'], rows);
}

function ratiosTable({ ratios = [] }: BenchRecord): string {
  const rows = ratios.map(({ name, rounds }) => [name, ...spreadCells(rounds)]);
  return markdownTable(['Ratio in the same rounds', 'Median', 'Spread'], rows);
}

function latenciesTable({ latencies = [] }: BenchRecord): string {
  const rows = latencies.map(({ name, summary }) => [
    name,
    ...[summary.p50Ms, summary.p99Ms, summary.p999Ms, summary.maxMs, summary.count].map(numberText),
  ]);
  return markdownTable(['Latency, ms', 'p50', 'p99', 'p99.9', 'max', 'count'], rows);
}

function spreadCells(rounds: readonly number[]): string[] {
  const { median, least, most } = spreadOf(rounds);
  return [numberText(median), `${numberText(least)} .. ${numberText(most)}`];
}

function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '';
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}
