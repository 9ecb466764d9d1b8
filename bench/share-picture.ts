// Draws distributions as an SVG: for each line the share of values at or below x, over a logarithmic axis. Written by
// hand because a picture of a benchmark must need neither a browser nor a library.

export interface SharePicture {
  title: string;
  unit: string;
  /** A bound to look at: a vertical line. */
  mark: { at: number; text: string };
  lines: readonly { name: string; color: string; values: readonly number[] }[];
}

const width = 760;
const height = 410;
const plot = { left: 60, right: 740, top: 48, bottom: 330 };
const pointsMax = 200;

export function drawShares({ title, unit, mark, lines }: SharePicture): string {
  const positive = lines.flatMap(({ values }) => values.filter((value) => value > 0)).concat(mark.at);
  const low = Math.floor(Math.log10(positive.reduce((least, value) => Math.min(least, value))));
  const high = Math.ceil(Math.log10(positive.reduce((most, value) => Math.max(most, value))));
  const xOf = (value: number): number => {
    const place = (Math.log10(Math.max(value, 10 ** low)) - low) / Math.max(high - low, 1);
    return plot.left + place * (plot.right - plot.left);
  };
  const yOf = (share: number): number => plot.bottom - share * (plot.bottom - plot.top);
  const decades = Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    `<text x="${plot.left}" y="24" font-size="14" fill="#1b1f24">${escapeXml(title)}</text>`,
    ...decades.map((value) => vertical(xOf(value), '#e3e6ea', `${formatNumber(value)} ${unit}`, plot.bottom + 18)),
    ...[0, 0.25, 0.5, 0.75, 0.99].map((share) => horizontal(yOf(share), `${share * 100} %`)),
    vertical(xOf(mark.at), '#1b1f24', escapeXml(mark.text), plot.top - 4, '4 3'),
    ...lines.map(({ color, values }) => curve(values, color, xOf, yOf)),
    ...lines.map(({ name, color, values }, index) => legend(name, color, values, unit, index)),
    '</svg>',
    '',
  ].join('\n');
}

function curve(
  values: readonly number[],
  color: string,
  xOf: (value: number) => number,
  yOf: (share: number) => number,
): string {
  const sorted = [...values].sort((one, other) => one - other);
  const count = Math.min(pointsMax, sorted.length);
  const points = Array.from({ length: count }, (_, index) => {
    const share = (index + 1) / count;
    const value = sorted[Math.ceil(share * sorted.length) - 1] ?? 0;
    return `${xOf(value).toFixed(1)},${yOf(share).toFixed(1)}`;
  });
  return `<polyline fill="none" stroke="${color}" stroke-width="2" points="${points.join(' ')}"/>`;
}

function vertical(x: number, color: string, text: string, textY: number, dashes = 'none'): string {
  const at = x.toFixed(1);
  return (
    `<line x1="${at}" y1="${plot.top}" x2="${at}" y2="${plot.bottom}" stroke="${color}" stroke-dasharray="${dashes}"/>` +
    `<text x="${at}" y="${textY}" text-anchor="middle" fill="#57606a">${text}</text>`
  );
}

function horizontal(y: number, text: string): string {
  const at = y.toFixed(1);
  return (
    `<line x1="${plot.left}" y1="${at}" x2="${plot.right}" y2="${at}" stroke="#e3e6ea"/>` +
    `<text x="${plot.left - 6}" y="${(y + 4).toFixed(1)}" text-anchor="end" fill="#57606a">${text}</text>`
  );
}

function legend(name: string, color: string, values: readonly number[], unit: string, index: number): string {
  const sorted = [...values].sort((one, other) => one - other);
  const at = (share: number): string =>
    formatNumber(Number((sorted[Math.ceil(share * sorted.length) - 1] ?? 0).toPrecision(3)));
  const text = `${name}: p50 ${at(0.5)} ${unit}, p99 ${at(0.99)} ${unit} (${values.length} messages)`;
  const y = plot.bottom + 38 + index * 15;
  return (
    `<line x1="${plot.left}" y1="${y - 4}" x2="${plot.left + 22}" y2="${y - 4}" stroke="${color}" stroke-width="3"/>` +
    `<text x="${plot.left + 30}" y="${y}" fill="#1b1f24">${escapeXml(text)}</text>`
  );
}

function formatNumber(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
