// A result as text for the terminal: figures with their spread, ratios, latencies, goals, faults. Pure.

import { type Figure, type Goal, type Ratio, readable, spreadOf } from './figures.ts';
import { describeOption, flagOf } from './options.ts';
import type { BenchRecord, NamedLatency, Scenario } from './scenario.ts';

export function tableOf(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd();
  return [line(header), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)].join('\n');
}

export function numberText(value: number): string {
  const shown = readable(value);
  return Math.abs(shown) >= 1000 ? shown.toLocaleString('en-US', { maximumFractionDigits: 1 }) : String(shown);
}

export function recordText(record: BenchRecord): string {
  const parts = [
    `${record.scenario}${variedText(record.varied)}, ${record.measuredAt}`,
    Object.entries(record.settings)
      .map(([name, value]) => `  ${name}: ${settingText(value)}`)
      .join('\n'),
    figuresText(record.figures),
    ratiosText(record.ratios ?? []),
    latenciesText(record.latencies ?? []),
    cpuText(record),
    profileText(record),
    goalsText(record.goals),
    (record.notMeasured ?? []).map(({ row, why }) => `not measured: ${row}: ${why}`).join('\n'),
    checksText(record),
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

export function variedText(varied: BenchRecord['varied']): string {
  return varied === undefined
    ? ''
    : ` (${Object.entries(varied)
        .map(([name, value]) => `${name}=${value}`)
        .join(', ')})`;
}

export function settingText(value: unknown): string {
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value);
}

export function listText(scenarios: readonly Scenario[]): string {
  return scenarios
    .map((scenario) => {
      const options = Object.entries(scenario.options).map(
        ([name, spec]) => `    ${flagOf(name)}=${spec.default}  ${spec.doc} (${describeOption(spec)})`,
      );
      const facts = [
        scenario.rawLimit === '' ? [] : [`    raw limit: ${scenario.rawLimit}`],
        scenario.peers.length === 0 ? [] : [`    peers: ${scenario.peers.join(', ')}`],
        scenario.goalRows.length === 0 ? [] : [`    rows: ${scenario.goalRows.join(', ')}`],
      ].flat();
      return [`  ${scenario.name}: ${scenario.question}`, ...facts, ...options].join('\n');
    })
    .join('\n');
}

function figuresText(figures: readonly Figure[]): string {
  if (figures.length === 0) return '';
  const rows = figures.map(({ name, unit, of, rounds }) => {
    const { median, least, most } = spreadOf(rounds);
    return [name, of, numberText(median), unit, `${numberText(least)} .. ${numberText(most)}`, String(rounds.length)];
  });
  return tableOf(['figure', 'of', 'median', 'unit', 'spread', 'rounds'], rows);
}

function ratiosText(ratios: readonly Ratio[]): string {
  if (ratios.length === 0) return '';
  const rows = ratios.map(({ name, rounds }) => {
    const { median, least, most } = spreadOf(rounds);
    return [name, numberText(median), `${numberText(least)} .. ${numberText(most)}`];
  });
  return tableOf(['ratio in the same rounds', 'median', 'spread'], rows);
}

function latenciesText(latencies: readonly NamedLatency[]): string {
  if (latencies.length === 0) return '';
  const rows = latencies.map(({ name, summary }) => [
    name,
    ...[summary.p50Ms, summary.p99Ms, summary.p999Ms, summary.maxMs, summary.count].map(numberText),
  ]);
  return tableOf(['latency, ms', 'p50', 'p99', 'p99.9', 'max', 'count'], rows);
}

function cpuText({ cpu = [] }: BenchRecord): string {
  if (cpu.length === 0) return '';
  const rows = cpu.map(({ name, shares }) => [
    name,
    Object.entries(shares)
      .map(([consumer, ms]) => `${consumer} ${Math.round(ms)}`)
      .join(', '),
  ]);
  return tableOf(['CPU, ms per second', ''], rows);
}

function profileText({ profile = [] }: BenchRecord): string {
  return profile
    .map(({ thread, rows }) => {
      const cells = rows.map(({ where, ms, share }) => [where, numberText(ms), `${numberText(share * 100)} %`]);
      return tableOf([thread, 'ms', 'share'], cells);
    })
    .join('\n\n');
}

function goalsText(goals: readonly Goal[]): string {
  if (goals.length === 0) return '';
  const rows = goals.map(({ row, what, goal, measured, spread, met }) => [
    row,
    what,
    goal,
    numberText(measured),
    spread === undefined ? '' : `${numberText(spread[0])} .. ${numberText(spread[1])}`,
    met ? 'met' : 'NOT MET',
  ]);
  return tableOf(['row', 'what', 'goal', 'measured', 'spread', ''], rows);
}

function checksText({ checks }: BenchRecord): string {
  return checks
    .map(({ name, faults }) =>
      faults.length === 0 ? `${name}: ok` : [`${name}: FAILED`, ...faults.map((fault) => `  ${fault}`)].join('\n'),
    )
    .join('\n');
}
