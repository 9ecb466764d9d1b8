// Runs one scenario with its cleanup and makes the record of it; or, in a sweep, one record per combination of values,
// measured in turns one round at a time, so that a slow minute of the machine is no value's fault.

import { CleanupList } from '../../test/support/cleanup.ts';
import type { RunCommand, Sweep } from './command-line.ts';
import { productFlag } from './command-line.ts';
import { machineSettings } from './machine.ts';
import { mergeRecords } from './merge.ts';
import { flagOf, readOptions, UsageError } from './options.ts';
import { profileFolder, readProfiles } from './profile.ts';
import type { BenchRecord, Run, Scenario } from './scenario.ts';

const signals = ['SIGINT', 'SIGTERM'] as const;
const brokenOffCode = 130;

export type RunRequest = Pick<RunCommand, 'given' | 'productFlags' | 'profile'>;

export async function runScenario(scenario: Scenario, request: RunRequest): Promise<BenchRecord> {
  const options = readOptions(scenario.name, scenario.options, request.given);
  const folder = request.profile ? profileFolder(scenario.name) : undefined;
  const record = await measureWithCleanup(scenario, request, options, folder);
  if (folder === undefined) return record;
  // The threads wrote them when they ended.
  const profile = readProfiles(folder, record.events ?? 0);
  if (profile.length === 0)
    throw new UsageError(`scenario ${scenario.name} does not run the program: nothing to profile`);
  console.error(`${scenario.name}: profiles in ${folder}`);
  return { ...record, profile };
}

async function measureWithCleanup(
  scenario: Scenario,
  request: RunRequest,
  options: Run['options'],
  folder: string | undefined,
): Promise<BenchRecord> {
  const cleanup = new CleanupList();
  // Whoever breaks it off, or waits no longer, must not be left with a PostgreSQL of ours.
  let brokenOff: Promise<void> | undefined;
  const breakOff = (): void => {
    brokenOff ??= cleanup.run().finally(() => process.exit(brokenOffCode));
  };
  for (const signal of signals) process.once(signal, breakOff);
  const machine = machineSettings();
  const measuredAt = new Date().toISOString();
  try {
    const { settings, ...measurement } = await scenario.measure({
      options,
      cleanup,
      productFlags: request.productFlags,
      profileFolder: folder,
      say: (text) => console.error(`${scenario.name}: ${text}`),
    });
    const product = request.productFlags.length === 0 ? {} : { productSettings: request.productFlags.join(' ') };
    return {
      scenario: scenario.name,
      measuredAt,
      settings: { ...machine, ...settings, ...options, ...product },
      ...measurement,
    };
  } finally {
    for (const signal of signals) process.off(signal, breakOff);
    await (brokenOff ?? cleanup.run());
  }
}

export type Varied = Readonly<Record<string, string>>;

/** Every combination of the values of the sweeps. */
export function combinations(sweeps: readonly Sweep[]): Varied[] {
  return sweeps.reduce<Varied[]>(
    (all, { key, values }) => all.flatMap((one) => values.map((value) => ({ ...one, [key]: value }))),
    [{}],
  );
}

export async function runSweep(
  scenario: Scenario,
  request: RunRequest,
  variants: readonly Varied[],
): Promise<BenchRecord[]> {
  const requests = variants.map((varied) => withVaried(scenario, request, varied));
  const rounds = roundsOf(scenario, request);
  const parts = requests.map((): BenchRecord[] => []);
  for (let round = 0; round < rounds; round += 1) {
    for (const [index, one] of requests.entries()) {
      console.error(`${scenario.name}: round ${round + 1} of ${rounds}, ${JSON.stringify(variants[index])}`);
      parts[index]?.push(await runScenario(scenario, one));
    }
  }
  return parts.map((records, index) => ({ ...mergeRecords(records), varied: variants[index] ?? {} }));
}

/** A key with a dot is a setting of the product, one without an option of the scenario. */
function withVaried(scenario: Scenario, request: RunRequest, varied: Varied): RunRequest {
  const flags = Object.entries(varied).filter(([key]) => key.includes('.'));
  const given = Object.fromEntries(Object.entries(varied).filter(([key]) => !key.includes('.')));
  const oneRound = 'rounds' in scenario.options ? { rounds: '1' } : {};
  const changed = {
    ...request,
    given: { ...request.given, ...given, ...oneRound },
    productFlags: [...request.productFlags, ...flags.map(([key, value]) => productFlag(`${key}=${value}`))],
  };
  // A wrong key or value is told before anything is measured.
  readOptions(scenario.name, scenario.options, changed.given);
  return changed;
}

function roundsOf(scenario: Scenario, request: RunRequest): number {
  const values: Readonly<Record<string, unknown>> = readOptions(scenario.name, scenario.options, request.given);
  const rounds = values.rounds ?? 1;
  if (typeof rounds !== 'number') throw new UsageError(`expected ${flagOf('rounds')} to be a number`);
  return rounds;
}
