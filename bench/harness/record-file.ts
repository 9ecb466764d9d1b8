// Results as files: written by one run, read again to be compared, reported or summed up.

import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from './options.ts';
import type { BenchRecord } from './scenario.ts';

/** One record as it is, several (of a sweep) as a list. */
export function writeRecords(file: string, records: readonly BenchRecord[]): void {
  const content = records.length === 1 ? records[0] : records;
  writeFileSync(file, `${JSON.stringify(content, null, 2)}\n`);
}

/** Files, and those of folders that `all` filled. */
export function readAllRecords(places: readonly string[]): BenchRecord[] {
  return places.flatMap((place) => {
    if (statSync(place, { throwIfNoEntry: false })?.isDirectory() !== true) return readRecords(place);
    const files = readdirSync(place).filter((file) => file.endsWith('.json'));
    if (files.length === 0) throw new UsageError(`expected ${place} to hold results of a benchmark, got no .json file`);
    return files.sort().flatMap((file) => readRecords(join(place, file)));
  });
}

export function readRecords(file: string): BenchRecord[] {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new UsageError(
      `expected ${file} to be a result of a benchmark: ${error instanceof Error ? error.message : ''}`,
    );
  }
  const records: unknown[] = Array.isArray(content) ? content : [content];
  for (const record of records) {
    if (!isRecord(record)) throw new UsageError(`expected ${file} to be written by --json of a benchmark`);
  }
  return records.filter(isRecord);
}

function isRecord(value: unknown): value is BenchRecord {
  if (typeof value !== 'object' || value === null) return false;
  const lists = ['figures', 'goals', 'checks'].every((name) => Array.isArray(Reflect.get(value, name)));
  return lists && typeof Reflect.get(value, 'scenario') === 'string';
}
