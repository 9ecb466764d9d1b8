// Results as files: written by one run, to be compared, reported or summed up later.

import { writeFileSync } from 'node:fs';
import type { BenchRecord } from './scenario.ts';

/** One record as it is, several (of a sweep) as a list. */
export function writeRecords(file: string, records: readonly BenchRecord[]): void {
  const content = records.length === 1 ? records[0] : records;
  writeFileSync(file, `${JSON.stringify(content, null, 2)}\n`);
}
