// What main gives every worker thread at its start: plain data, cloned.

import type { PostgresAddress } from '../transport/index.ts';
import type { Settings } from './config.ts';
import type { Controls } from './controls/contract.ts';
import type { WorkspaceSnapshot } from './services/workspace.ts';

export interface ThreadData {
  settings: Settings;
  postgres: PostgresAddress;
  instanceId: string;
  /** The workspace at the start of the process; newer ones are broadcast (`workspaceTopic`). */
  workspace: WorkspaceSnapshot;
  /** As at the start; newer ones are broadcast (`controlsTopic`). */
  controls: Controls;
}
