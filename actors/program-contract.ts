// What the running program is given by main and what main may ask of it.

import type { ActorLog } from '../runtime/index.ts';
import type { Settings } from './config.ts';

export interface ProgramOptions {
  settings: Settings;
  version: string;
  environment: Readonly<Record<string, string | undefined>>;
  log: ActorLog;
  /** Start checks that passed, for the banner. */
  checks: readonly string[];
  /** Epoch milliseconds at which the process was started. */
  startedAtMs: number;
  /** Standard output. */
  print(text: string): void;
  /** The program cannot go on: drain it and exit. */
  onFailed(reason: string): void;
  process: {
    pid: number;
    version: string;
    memoryUsage(): { rss: number; heapUsed: number; heapTotal: number; external: number };
    /** Bytes its control group allows; 0 when there is no such limit. */
    constrainedMemory(): number;
  };
}

export interface Program {
  /** For SIGHUP. */
  reloadWorkspace(): Promise<void>;
  /** Resolves to true when everything ended in time. A second call with a nearer deadline cuts the first short. */
  drain(deadlineMs: number): Promise<boolean>;
}
