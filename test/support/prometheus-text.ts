// A strict reader of the Prometheus text format 0.0.4. It refuses what Prometheus would accept with a shrug, because it
// exists to prove that /metrics is right: families in one piece, no series twice, histograms that add up.

import assert from 'node:assert';

export interface PrometheusSample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

export interface PrometheusFamily {
  type: 'counter' | 'gauge' | 'histogram';
  help: string;
  samples: PrometheusSample[];
}

export function parsePrometheusText(text: string): Map<string, PrometheusFamily> {
  assert(text.endsWith('\n'), 'expected the last line to end with a line feed');
  const families = new Map<string, PrometheusFamily>();
  const seen = new Set<string>();
  let current: { name: string; family: PrometheusFamily } | undefined;
  let help: { name: string; text: string } | undefined;
  for (const line of text.slice(0, -1).split('\n')) {
    if (line === '') continue;
    if (line.startsWith('# HELP ')) {
      const [, name, helpText] = /^# HELP (\S+) (.+)$/.exec(line) ?? [];
      assert(name !== undefined && helpText !== undefined, `expected "# HELP name text", got ${line}`);
      help = { name, text: helpText };
    } else if (line.startsWith('#')) {
      current = startFamily(line, help, families);
    } else {
      assert(current !== undefined, `expected a TYPE before ${line}`);
      const sample = parseSample(line);
      assert(belongsTo(sample.name, current), `expected a sample of ${current.name}, got ${line}`);
      const series = JSON.stringify([sample.name, Object.entries(sample.labels).sort()]);
      assert(!seen.has(series), `expected each series once, got again ${line}`);
      seen.add(series);
      current.family.samples.push(sample);
    }
  }
  for (const [name, family] of families) checkFamily(name, family);
  return families;
}

/** The value of the one sample with exactly these labels, or undefined. */
export function sampleValue(
  families: ReadonlyMap<string, PrometheusFamily>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const wanted = JSON.stringify(Object.entries(labels).sort());
  for (const family of families.values()) {
    for (const sample of family.samples) {
      if (sample.name === name && JSON.stringify(Object.entries(sample.labels).sort()) === wanted) return sample.value;
    }
  }
  return undefined;
}

function startFamily(
  line: string,
  help: { name: string; text: string } | undefined,
  families: Map<string, PrometheusFamily>,
): { name: string; family: PrometheusFamily } {
  const [, name, type] = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (\w+)$/.exec(line) ?? [];
  assert(name !== undefined, `expected "# TYPE name type", got ${line}`);
  assert(type === 'counter' || type === 'gauge' || type === 'histogram', `expected a known type, got ${line}`);
  assert(help?.name === name, `expected the HELP of ${name} just before its TYPE`);
  assert(!families.has(name), `expected one family ${name}`);
  const family: PrometheusFamily = { type, help: help.text, samples: [] };
  families.set(name, family);
  return { name, family };
}

function belongsTo(sample: string, { name, family }: { name: string; family: PrometheusFamily }): boolean {
  if (family.type !== 'histogram') return sample === name;
  return [`${name}_bucket`, `${name}_sum`, `${name}_count`].includes(sample);
}

function parseSample(line: string): PrometheusSample {
  const [, name, labelText, valueText] = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
  assert(name !== undefined && valueText !== undefined, `expected "name{labels} value", got ${line}`);
  const value = valueText === '+Inf' ? Number.POSITIVE_INFINITY : Number(valueText);
  assert(!Number.isNaN(value), `expected a number, got ${line}`);
  return { name, labels: parseLabels(labelText ?? '', line), value };
}

function parseLabels(text: string, line: string): Record<string, string> {
  const labels: Record<string, string> = {};
  const pattern = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)/y;
  while (pattern.lastIndex < text.length) {
    const [, name, value] = pattern.exec(text) ?? [];
    assert(name !== undefined && value !== undefined, `expected name="value" pairs, got ${line}`);
    assert(!(name in labels), `expected each label once, got ${line}`);
    labels[name] = value.replace(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped));
  }
  return labels;
}

function checkFamily(name: string, family: PrometheusFamily): void {
  if (family.type === 'counter') {
    assert(name.endsWith('_total'), `expected counter ${name} to end in _total`);
    for (const sample of family.samples) assert(sample.value >= 0, `expected ${name} to be at least 0`);
  }
  if (family.type === 'histogram') checkHistogram(name, family);
}

function checkHistogram(name: string, family: PrometheusFamily): void {
  const buckets = new Map<string, { bound: number; value: number }[]>();
  for (const { name: sample, labels, value } of family.samples) {
    if (sample !== `${name}_bucket`) continue;
    const { le, ...rest } = labels;
    assert(le !== undefined, `expected le on every bucket of ${name}`);
    const series = buckets.get(JSON.stringify(rest)) ?? [];
    series.push({ bound: le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le), value });
    buckets.set(JSON.stringify(rest), series);
  }
  const counts = family.samples.filter((sample) => sample.name === `${name}_count`);
  const sums = family.samples.filter((sample) => sample.name === `${name}_sum`);
  assert.equal(counts.length, buckets.size, `expected one count per series of ${name}`);
  assert.equal(sums.length, buckets.size, `expected one sum per series of ${name}`);
  for (const { labels, value } of counts) {
    const series = buckets.get(JSON.stringify(labels));
    assert(series !== undefined, `expected buckets for ${name} ${JSON.stringify(labels)}`);
    assert.equal(series.at(-1)?.bound, Number.POSITIVE_INFINITY, `expected ${name} to end with +Inf`);
    assert.equal(series.at(-1)?.value, value, `expected the +Inf bucket of ${name} to equal its count`);
    series.forEach((bucket, index) => {
      const before = series[index - 1];
      if (before === undefined) return;
      assert(bucket.bound > before.bound, `expected the bounds of ${name} to ascend`);
      assert(bucket.value >= before.value, `expected the buckets of ${name} to be cumulative`);
    });
  }
}
