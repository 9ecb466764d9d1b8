// Where the CPU profiles of a run go. The program's threads write them (profile-preload.ts); profile-report.ts reads
// them.

import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export function profileFolder(scenario: string): string {
  const folder = mkdtempSync(join(tmpdir(), `sluice-profile-${scenario}-`));
  mkdirSync(folder, { recursive: true });
  return folder;
}
