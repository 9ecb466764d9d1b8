// What the crash matrix and a light process (light-process.ts) say to each other.

import type { WorkspaceSnapshot } from '../../actors/services/workspace.ts';
import type { CrashOrder } from './crash-seam.ts';

/** Environment variable with a `LightOptions` as JSON. */
export const lightOptionsName = 'SLUICE_CRASH_LIGHT';

export interface LightOptions {
  postgresUrl: string;
  workspace: WorkspaceSnapshot;
  /** Its end is decided before it begins. */
  order: CrashOrder | undefined;
}

export type LightCommand =
  | { kind: 'arm'; order: CrashOrder }
  /** Answers `quiet` once it owns every lane, nothing waits in an inbox, and nothing is pending. */
  | { kind: 'awaitQuiet' }
  /** One commit that Postgres refuses, together with one that it takes. */
  | { kind: 'refuse' }
  /** Tries some of the jobs again that were given up. */
  | { kind: 'redrive' }
  | { kind: 'counts' }
  | { kind: 'stop' };

export type LightEvent =
  | { kind: 'ready'; port: number; counts: Record<string, number> }
  /** PostgreSQL was killed at the point. */
  | { kind: 'crashed' }
  | { kind: 'quiet' }
  | { kind: 'counts'; counts: Record<string, number> }
  | { kind: 'stopped'; counts: Record<string, number> }
  | { kind: 'failed'; reason: string };
