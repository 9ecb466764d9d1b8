// Plots as SVG text: lines over a linear or logarithmic axis, and bars made of parts. By hand, because a report must be
// one file that needs neither a browser to be made nor a script to be read.

import { numberText } from './terminal-table.ts';

export interface Line {
  name: string;
  points: readonly (readonly [number, number])[];
}

export interface LinePlot {
  title: string;
  xUnit: string;
  yUnit: string;
  /** Logarithmic x: connections, latencies. */
  isLogarithmic: boolean;
  lines: readonly Line[];
}

export interface BarPlot {
  title: string;
  unit: string;
  bars: readonly { name: string; parts: Readonly<Record<string, number>>; spread?: readonly [number, number] }[];
}

const colors = ['#1668c7', '#c2410c', '#15803d', '#7c3aed', '#b45309', '#0e7490', '#be185d', '#57606a'];
const width = 760;
const plot = { left: 80, right: 740, top: 44, bottom: 290 };
const ink = '#1b1f24';
const grid = '#e3e6ea';
const label = '#57606a';
const rowHeight = 26;
const barLeft = 330;

export function colorOf(index: number): string {
  return colors[index % colors.length] ?? ink;
}

export function drawLines({ title, xUnit, yUnit, isLogarithmic, lines }: LinePlot): string {
  const points = lines.flatMap((line) => line.points);
  const xs = points.map(([x]) => x).filter((x) => !isLogarithmic || x > 0);
  const [xLeast, xMost] = [Math.min(...xs), Math.max(...xs)];
  const ticksY = ticksUpTo(Math.max(...points.map(([, y]) => y), 0));
  const yMost = ticksY.at(-1) ?? 1;
  const ticksX = isLogarithmic ? logarithmicTicks(xLeast, xMost) : ticksUpTo(xMost);
  const from = isLogarithmic ? (ticksX[0] ?? 1) : 0;
  const to = ticksX.at(-1) ?? 1;
  const place = (x: number): number =>
    isLogarithmic ? Math.log(Math.max(x, from) / from) / Math.log(Math.max(to / from, 1.001)) : x / (to || 1);
  const xOf = (x: number): string => (plot.left + place(x) * (plot.right - plot.left)).toFixed(1);
  const yOf = (y: number): string => (plot.bottom - (y / (yMost || 1)) * (plot.bottom - plot.top)).toFixed(1);
  const height = plot.bottom + 44 + lines.length * 16;
  return svg(height, title, [
    ...ticksX.map((x) => verticalTick(xOf(x), numberText(x))),
    ...ticksY.map((y) => horizontalTick(yOf(y), numberText(y))),
    text(plot.right, plot.bottom + 32, xUnit, 'end'),
    text(plot.left, plot.top - 8, yUnit, 'start'),
    ...lines.map((line, index) => {
      const path = line.points.map(([x, y]) => `${xOf(x)},${yOf(y)}`).join(' ');
      return `<polyline fill="none" stroke="${colorOf(index)}" stroke-width="2" points="${path}"/>`;
    }),
    ...lines.map((line, index) => legend(line.name, index, plot.bottom + 46 + index * 16)),
  ]);
}

export function drawBars({ title, unit, bars }: BarPlot): string {
  const totals = bars.map(({ parts, spread }) => Math.max(sum(parts), spread?.[1] ?? 0));
  const most = ticksUpTo(Math.max(...totals, 0)).at(-1) ?? 1;
  const names = [...new Set(bars.flatMap(({ parts }) => Object.keys(parts)))];
  const xOf = (value: number): number => barLeft + (value / (most || 1)) * (plot.right - 90 - barLeft);
  const isSplit = names.length > 1;
  const legendTop = plot.top + bars.length * rowHeight + 24;
  const rows = bars.map(({ name, parts, spread }, row) => {
    const y = plot.top + row * rowHeight;
    let at = 0;
    const pieces = names.map((part, index) => {
      const value = parts[part] ?? 0;
      const piece = `<rect x="${xOf(at).toFixed(1)}" y="${y}" width="${(xOf(at + value) - xOf(at)).toFixed(1)}" height="16" fill="${colorOf(index)}"/>`;
      at += value;
      return piece;
    });
    const whisker =
      spread === undefined
        ? ''
        : `<line x1="${xOf(spread[0]).toFixed(1)}" x2="${xOf(spread[1]).toFixed(1)}" y1="${y + 8}" y2="${y + 8}" stroke="${ink}" stroke-width="2"/>`;
    const total = text(xOf(Math.max(at, spread?.[1] ?? 0)) + 6, y + 12, `${numberText(at)} ${unit}`, 'start');
    return [text(barLeft - 8, y + 12, name, 'end'), ...pieces, whisker, total].join('');
  });
  const legends = isSplit ? names.map((name, index) => legend(name, index, legendTop + index * 16)) : [];
  return svg(legendTop + legends.length * 16, title, [...rows, ...legends]);
}

/** Round steps from 0 to at least `most`. Exported for its test. */
export function ticksUpTo(most: number): number[] {
  if (!(most > 0)) return [0, 1];
  const magnitude = 10 ** Math.floor(Math.log10(most / 4));
  const step = ([1, 2, 5, 10].find((factor) => most / (factor * magnitude) <= 5) ?? 10) * magnitude;
  return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, index) =>
    Number((index * step).toPrecision(12)),
  );
}

function logarithmicTicks(least: number, most: number): number[] {
  const from = Math.floor(Math.log10(least));
  const to = Math.max(Math.ceil(Math.log10(most)), from + 1);
  return Array.from({ length: to - from + 1 }, (_, index) => 10 ** (from + index));
}

function svg(height: number, title: string, content: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    `<text x="16" y="20" font-size="14" fill="${ink}">${escapeXml(title)}</text>`,
    ...content,
    '</svg>',
  ].join('\n');
}

function verticalTick(x: string, value: string): string {
  return (
    `<line x1="${x}" x2="${x}" y1="${plot.top}" y2="${plot.bottom}" stroke="${grid}"/>` +
    text(Number(x), plot.bottom + 16, value, 'middle')
  );
}

function horizontalTick(y: string, value: string): string {
  return (
    `<line x1="${plot.left}" x2="${plot.right}" y1="${y}" y2="${y}" stroke="${grid}"/>` +
    text(plot.left - 6, Number(y) + 4, value, 'end')
  );
}

function legend(name: string, index: number, y: number): string {
  return `<rect x="${plot.left}" y="${y - 8}" width="20" height="6" fill="${colorOf(index)}"/>${text(plot.left + 28, y, name, 'start')}`;
}

function text(x: number, y: number, content: string, anchor: 'start' | 'middle' | 'end'): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" fill="${label}">${escapeXml(content)}</text>`;
}

function sum(parts: Readonly<Record<string, number>>): number {
  return Object.values(parts).reduce((total, value) => total + value, 0);
}

export function escapeXml(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
