// Results as one self-contained page: settings, goals, figures with their spread, and plots of throughput over time,
// latency distributions, the CPU split and scaling curves. No script, no outside file. Pure.

import { LatencyHistogram } from '../latency-histogram.ts';
import { type Figure, spreadOf } from './figures.ts';
import type { BenchRecord, Series } from './scenario.ts';
import { drawBars, drawLines, escapeXml, type Line } from './svg-plot.ts';
import { numberText, settingText, variedText } from './terminal-table.ts';

const style = `
body { font: 15px/1.5 sans-serif; color: #1b1f24; max-width: 1000px; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; } td, th { border: 1px solid #d7dbe0; padding: .2rem .6rem; text-align: right; }
td:first-child, th:first-child, td.text { text-align: left; } .met { color: #15803d; } .missed { color: #b91c1c; font-weight: bold; }
details { margin: 1rem 0; } svg { max-width: 100%; height: auto; margin: .5rem 0; display: block; }`;

export function htmlReport(records: readonly BenchRecord[]): string {
  const scenarios = [...new Set(records.map(({ scenario }) => scenario))];
  const body = scenarios.map((name) => {
    const own = records.filter(({ scenario }) => scenario === name);
    return [`<h2>${escapeXml(name)}</h2>`, ...scalingPlots(own), ...own.map(recordSection)].join('\n');
  });
  return [
    '<!doctype html>',
    '<html lang="en"><head><meta charset="utf-8"><title>Sluice benchmarks</title>',
    `<style>${style}</style></head><body>`,
    '<h1>Sluice benchmarks</h1>',
    '<p>Bars and tables show the median of the rounds, whiskers the least and the most. What counts is a ratio measured in the same rounds.</p>',
    ...body,
    '</body></html>',
    '',
  ].join('\n');
}

function recordSection(record: BenchRecord): string {
  const title = `${record.scenario}${variedText(record.varied)}, ${record.measuredAt}`;
  return [
    `<h3>${escapeXml(title)}</h3>`,
    checksSection(record),
    goalsSection(record),
    ...figurePlots(record.figures),
    ratiosSection(record),
    ...seriesPlots(record.series ?? []),
    latencyPlot(record),
    latencySection(record),
    cpuPlot(record),
    profileSection(record),
    ...(record.pictures ?? []).map(({ svg }) => svg),
    settingsSection(record),
  ].join('\n');
}

function checksSection({ checks, notMeasured = [] }: BenchRecord): string {
  const lines = [
    ...checks.map(({ name, faults }) =>
      faults.length === 0
        ? `<li class="met">${escapeXml(name)}: ok</li>`
        : `<li class="missed">${escapeXml(name)}: ${escapeXml(faults.join('; '))}</li>`,
    ),
    ...notMeasured.map(({ row, why }) => `<li>not measured: ${escapeXml(row)}: ${escapeXml(why)}</li>`),
  ];
  return lines.length === 0 ? '' : `<ul>${lines.join('')}</ul>`;
}

function goalsSection({ goals }: BenchRecord): string {
  return table(
    ['row', 'what', 'goal', 'measured', 'spread', ''],
    goals.map(({ row, what, goal, measured, spread, met }) => [
      row,
      what,
      goal,
      numberText(measured),
      spread === undefined ? '' : `${numberText(spread[0])} .. ${numberText(spread[1])}`,
      met ? 'met' : 'not met',
    ]),
  );
}

/** One plot per unit: bars of different units cannot stand beside each other. */
function figurePlots(figures: readonly Figure[]): string[] {
  const units = [...new Set(figures.map(({ unit }) => unit))];
  return units.map((unit) =>
    drawBars({
      title: unit,
      unit: '',
      bars: figures
        .filter((figure) => figure.unit === unit)
        .map(({ name, rounds }) => {
          const { median, least, most } = spreadOf(rounds);
          return { name, parts: { median }, spread: [least, most] as const };
        }),
    }),
  );
}

function ratiosSection({ ratios = [] }: BenchRecord): string {
  return table(
    ['ratio in the same rounds', 'median', 'spread'],
    ratios.map(({ name, rounds }) => {
      const { median, least, most } = spreadOf(rounds);
      return [name, numberText(median), `${numberText(least)} .. ${numberText(most)}`];
    }),
  );
}

function seriesPlots(series: readonly Series[]): string[] {
  const plots = [...new Set(series.map(({ plot }) => plot))];
  return plots.flatMap((title) => {
    const lines = series.filter(({ plot, points }) => plot === title && points.length > 0);
    const [first] = lines;
    if (first === undefined) return [];
    const { xUnit, yUnit } = first;
    return [drawLines({ title, xUnit, yUnit, isLogarithmic: xUnit !== 's', lines })];
  });
}

function latencyPlot({ latencies = [] }: BenchRecord): string {
  const lines = latencies.flatMap(({ name, counts }): Line[] => {
    const points = new LatencyHistogram(counts)
      .shares()
      .map(({ ms, share }) => [Math.max(ms, 0.001), share * 100] as const);
    return points.length === 0 ? [] : [{ name, points }];
  });
  if (lines.length === 0) return '';
  const title = 'Latency: share of requests answered within';
  return drawLines({ title, xUnit: 'ms', yUnit: '% of requests', isLogarithmic: true, lines });
}

function latencySection({ latencies = [] }: BenchRecord): string {
  return table(
    ['latency, ms', 'p50', 'p99', 'p99.9', 'max', 'count'],
    latencies.map(({ name, summary }) => [
      name,
      ...[summary.p50Ms, summary.p99Ms, summary.p999Ms, summary.maxMs, summary.count].map(numberText),
    ]),
  );
}

function cpuPlot({ cpu = [] }: BenchRecord): string {
  if (cpu.length === 0) return '';
  return drawBars({
    title: 'CPU: milliseconds per second of run, by thread and process',
    unit: 'ms',
    bars: cpu.map(({ name, shares }) => ({ name, parts: shares })),
  });
}

function profileSection({ profile = [] }: BenchRecord): string {
  return profile
    .map(({ thread, rows }) => {
      const cells = rows.map(({ where, ms, share }) => [where, numberText(ms), `${numberText(share * 100)} %`]);
      return table([`time of ${thread} by stage`, 'ms', 'share'], cells);
    })
    .join('\n');
}

function settingsSection({ settings }: BenchRecord): string {
  const rows = Object.entries(settings).map(([name, value]) => [name, settingText(value)]);
  return `<details><summary>Settings</summary>${table(['setting', 'value'], rows)}</details>`;
}

/** Of a sweep: every figure over the value that was varied, when there was one numeric one. */
function scalingPlots(records: readonly BenchRecord[]): string[] {
  const [first] = records;
  const keys = Object.keys(first?.varied ?? {});
  const [key] = keys;
  if (first === undefined || key === undefined || keys.length > 1 || records.length < 2) return [];
  const variedValue = (record: BenchRecord): number => Number(record.varied?.[key]);
  if (records.some((record) => !Number.isFinite(variedValue(record)))) return [];
  const units = [...new Set(first.figures.map(({ unit }) => unit))];
  return units.map((unit) => {
    const names = first.figures.filter((figure) => figure.unit === unit).map(({ name }) => name);
    const lines = names.map((name) => ({
      name,
      points: records.flatMap((record) => pointOf(record, name, variedValue)),
    }));
    return drawLines({ title: `${unit} over ${key}`, xUnit: key, yUnit: unit, isLogarithmic: true, lines });
  });
}

function pointOf(
  record: BenchRecord,
  name: string,
  variedValue: (record: BenchRecord) => number,
): (readonly [number, number])[] {
  const figure = record.figures.find((one) => one.name === name);
  return figure === undefined ? [] : [[variedValue(record), spreadOf(figure.rounds).median]];
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '';
  const head = header.map((cell) => `<th>${escapeXml(cell)}</th>`).join('');
  const body = rows.map((row) => `<tr>${row.map(cellOf).join('')}</tr>`).join('\n');
  return `<table><tr>${head}</tr>\n${body}</table>`;
}

function cellOf(content: string): string {
  const kind = content === 'met' ? ' class="met"' : content === 'not met' ? ' class="missed"' : '';
  return `<td${kind}>${escapeXml(content)}</td>`;
}
