// The program under measurement: the built one, as everybody runs it, with its embedded PostgreSQL in a new folder; and
// the checks every measurement of it ends with.

import { join } from 'node:path';
import { type Cleanup, temporaryFolder } from '../test/support/cleanup.ts';
import { openCluster, postmasterPid } from '../test/support/embedded-cluster.ts';
import { readLedger } from '../test/support/ledger.ts';
import { pollUntil } from '../test/support/poll.ts';
import { type Program, startProgram } from '../test/support/program.ts';
import { pendingJobs, property } from '../test/support/status.ts';
import { type DestinationSpec, type SourceSpec, writeWorkspace } from '../test/support/workspace-file.ts';
import { workerEntry } from '../transport/index.ts';
import type { CpuConsumers } from './harness/process-cpu.ts';
import type { Check, Run } from './harness/scenario.ts';
import type { SinkReport } from './sink.ts';

export const benchWriteKey = 'wk-bench';
const drainMs = 300_000;

export interface Durability {
  postgres: string;
  fsync: string;
  synchronousCommit: string;
}

/** One source with these destinations, or any sources. */
export async function startBenchProgram(
  { cleanup, productFlags, profileFolder }: Pick<Run, 'cleanup' | 'productFlags' | 'profileFolder'>,
  workspace: { destinations: DestinationSpec[] } | { sources: SourceSpec[] },
): Promise<Program> {
  const workspaceFile = join(await temporaryFolder(cleanup), 'workspaceConfig.json');
  const sources =
    'sources' in workspace ? workspace.sources : [{ id: 'src-bench', writeKey: benchWriteKey, ...workspace }];
  writeWorkspace(workspaceFile, sources);
  // The allocator as `npm start` sets it.
  const allocator = { MALLOC_MMAP_THRESHOLD_: '1048576' };
  const env = { SLUICE_LOG_LEVEL: 'warn', ...allocator, ...profileEnvironment(profileFolder) };
  const program = await startProgram(cleanup, { workspaceFile, env, args: productFlags });
  // Profiles are written at an orderly end, before everything is killed.
  if (profileFolder !== undefined) cleanup.after(async () => void (await program.stop()));
  return program.waitReady();
}

/** The preload runs in the main thread and in every worker of the program. */
function profileEnvironment(profileFolder: string | undefined): Record<string, string> {
  if (profileFolder === undefined) return {};
  const preload = workerEntry('./harness/profile-preload', import.meta.url).href;
  return { NODE_OPTIONS: `--import=${preload}`, BENCH_PROFILE_FOLDER: profileFolder };
}

export async function durabilityOf(program: Program): Promise<Durability> {
  const postgres = property(await program.json('/status'), 'postgres');
  return {
    postgres: String(property(postgres, 'version')),
    fsync: String(property(postgres, 'fsync')),
    synchronousCommit: String(property(postgres, 'synchronousCommit')),
  };
}

export async function waitUntilDrained(program: Program, deadlineMs = drainMs): Promise<void> {
  const isEmpty = async (): Promise<true | undefined> =>
    pendingJobs(await program.json('/status')) === 0 ? true : undefined;
  await pollUntil('the queues to be empty', isEmpty, deadlineMs);
}

/** Promise P6, read past the program. Ask when nothing moves. */
export async function ledgerCheck(cleanup: Cleanup, program: Program): Promise<Check> {
  const status = await program.json('/status');
  const ledger = await readLedger(openCluster(cleanup, program.dataDir));
  return { name: 'ledger balances', faults: ledger.faults(status) };
}

/** Promise P3 as the sink saw it, and no event twice, because nothing crashed. */
export function orderCheck(reports: readonly SinkReport[]): Check {
  const duplicates = reports.reduce((sum, report) => sum + report.duplicates, 0);
  return {
    name: 'order per user, no duplicates',
    faults: [
      ...reports.flatMap((report) => report.disorder),
      ...(duplicates === 0 ? [] : [`${duplicates} events arrived again`]),
    ],
  };
}

export function arrivalCheck(expected: number, arrived: number): Check {
  const faults = expected === arrived ? [] : [`${expected} events were to arrive, ${arrived} arrived`];
  return { name: 'every accepted event arrived once', faults };
}

export function cpuConsumersOf(program: Program, others: Readonly<Record<string, number>>): CpuConsumers {
  return {
    processes: others,
    families: { PostgreSQL: postmasterPid(program.dataDir) },
    threadsOf: { name: 'sluice', pid: program.pid },
  };
}
