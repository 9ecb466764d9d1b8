// The program under measurement: the built one, as everybody runs it, with its embedded PostgreSQL in a new folder.

import { join } from 'node:path';
import { type Cleanup, temporaryFolder } from '../test/support/cleanup.ts';
import { pollUntil } from '../test/support/poll.ts';
import { type Program, startProgram } from '../test/support/program.ts';
import { pendingJobs, property } from '../test/support/status.ts';
import { type DestinationSpec, writeWorkspace } from '../test/support/workspace-file.ts';
import type { Durability } from './bench-settings.ts';

export const benchWriteKey = 'wk-bench';
const drainMs = 300_000;

export async function startBenchProgram(cleanup: Cleanup, destinations: DestinationSpec[]): Promise<Program> {
  const workspaceFile = join(await temporaryFolder(cleanup), 'workspaceConfig.json');
  writeWorkspace(workspaceFile, [{ id: 'src-bench', writeKey: benchWriteKey, destinations }]);
  const program = await startProgram(cleanup, { workspaceFile, env: { SLUICE_LOG_LEVEL: 'warn' } });
  return program.waitReady();
}

export async function durabilityOf(program: Program): Promise<Durability> {
  const postgres = property(await program.json('/status'), 'postgres');
  return {
    postgres: String(property(postgres, 'version')),
    fsync: String(property(postgres, 'fsync')),
    synchronousCommit: String(property(postgres, 'synchronousCommit')),
  };
}

export async function waitUntilDrained(program: Program): Promise<void> {
  const isEmpty = async (): Promise<true | undefined> =>
    pendingJobs(await program.json('/status')) === 0 ? true : undefined;
  await pollUntil('the queues to be empty', isEmpty, drainMs);
}
