// What every actor definition of the product is built with: one per thread, made in thread.ts from the data main sent.

import type { Telemetry } from '../runtime/index.ts';
import type { Settings } from './config.ts';
import type { WorkspaceHolder } from './services/workspace.ts';

export interface Environment {
  readonly settings: Settings;
  readonly workspace: WorkspaceHolder;
  readonly telemetry: Telemetry;
}
