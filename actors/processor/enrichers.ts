// What a thread loads for its enrichers before it hosts processors: the address database and operators' own modules.

import { resolve } from 'node:path';
import type { Settings } from '../config.ts';
import type { GeoReader } from './geo-stage.ts';
import { loadMaxmind } from './heavy-libraries.ts';
import { type EnricherModule, loadEnricher } from './plug-in-stage.ts';

export interface Enrichers {
  readonly geo: GeoReader | undefined;
  readonly plugIns: readonly EnricherModule[];
}

/** Rejects when a file cannot be read or a module is none: the start is refused with the reason (start-checks.ts). */
export async function loadEnrichers({ geoFile, plugIns }: Settings['enrichment']): Promise<Enrichers> {
  const geo = geoFile === '' ? undefined : await loadMaxmind().open<never>(resolve(geoFile));
  return { geo, plugIns: await Promise.all(plugInPaths(plugIns).map((path) => loadEnricher(path))) };
}

export function plugInPaths(plugIns: string): string[] {
  const paths = plugIns.split(',').map((path) => path.trim());
  return paths.filter((path) => path !== '').map((path) => resolve(path));
}
