// What isolation costs: the same number of jobs over few and over many partitions, in each isolation mode, for the
// processor (rows X4) and for the router (R3). Flat is the promise (P5); the reference system takes eight times as long.

import { processorPartition, routerPartition } from '../actors/isolation.ts';
import type { SourceSpec } from '../test/support/workspace-file.ts';
import { BenchProcess } from './bench-process.ts';
import { atMost, type Figure, figure, type Goal, median, type Ratio, ratioOf } from './harness/figures.ts';
import { inTurns } from './harness/in-turns.ts';
import { count, counts, names, rounds } from './harness/options.ts';
import { type Check, defineScenario, type Measurement, type Run, type Series } from './harness/scenario.ts';
import { type StageJob, snapshotOf, stageFrames, stageRate, workspaceId } from './storage/stage-ground.ts';
import type { StorageBench } from './storage/storage-bench.ts';
import { openGround, type StorageGround, storageDefaults } from './storage/storage-ground.ts';

const timesMax = 1.3;
const options = {
  rounds: rounds(),
  jobs: count(200_000, 'jobs of one measurement'),
  partitions: counts([10, 100, 1000, 10_000], 'sources or destinations the jobs are spread over', 100_000),
  eventBytes: count(1024, 'size of an event', 100_000),
  stages: names(['processor', 'router'], 'what is measured'),
  modes: names(['own', 'workspace', 'none'], 'isolation: a partition per source or destination, per workspace, or one'),
};

type Mode = 'own' | 'workspace' | 'none';
type Stage = 'processor' | 'router';

interface Result {
  figures: Figure[];
  ratios: Ratio[];
  goals: Goal[];
  series: Series[];
  checks: Check[];
}

export const isolation = defineScenario({
  name: 'isolation',
  question: 'the same jobs over few and many partitions, in each isolation mode',
  rawLimit: 'the fewest partitions',
  peers: [],
  goalRows: ['X4', 'R3'],
  options,
  quick: { rounds: 1, jobs: 50_000, partitions: [10, 10_000], modes: ['own'] },
  async measure(run): Promise<Measurement> {
    const ground = await openGround(run, { ...storageDefaults, ...run.options, partitions: 1 });
    const sink = new BenchProcess(run.cleanup, './sink');
    const { port } = await sink.next<{ port: number }>();
    const result: Result = { figures: [], ratios: [], goals: [], series: [], checks: [] };
    for (const stage of run.options.stages) {
      for (const mode of run.options.modes) {
        await measureMode({ run, ground, stage: stage as Stage, mode: mode as Mode, port }, result);
      }
    }
    const { rows } = await ground.postgres.query<{ fsync: string }>("select current_setting('fsync') as fsync");
    return { ...result, settings: { ...rows[0], synchronousCommit: 'on' } };
  },
});

interface ModeRun {
  run: Pick<Run<typeof options>, 'options' | 'say'>;
  ground: StorageGround;
  stage: Stage;
  mode: Mode;
  port: number;
}

async function measureMode({ run, ground, stage, mode, port }: ModeRun, result: Result): Promise<void> {
  const { jobs, partitions, eventBytes } = run.options;
  const titleOf = (targets: number): string => `${stage}, isolation ${isolationName(stage, mode)}, ${targets} targets`;
  const times = new Map<number, number[]>(partitions.map((targets) => [targets, []]));
  // One engine per number of targets and round: what one leaves behind must not be the next one's.
  const measureTargets = async (targets: number): Promise<number> => {
    const bench = await startStage({ ground, stage, mode, targets, port });
    const endpoint = `http://127.0.0.1:${port}/`;
    const { lanes } = ground.settingsWith([]).storage;
    const queue = stage === 'processor' ? 'gw' : 'rt';
    const frames = stageFrames(queue, targetsOf(stage, mode, targets), { lanes, eventBytes, endpoint });
    const rate = await stageRate(bench, queue, frames, jobs);
    for (const { name, faults } of await bench.checks())
      result.checks.push({ name: `${titleOf(targets)}: ${name}`, faults });
    await bench.stop();
    return jobs / rate;
  };
  const measures = partitions.map((targets) => ({ name: String(targets), run: () => measureTargets(targets) }));
  const measured = await inTurns(measures, {
    rounds: run.options.rounds,
    onRound: (round, targets) => run.say(`${titleOf(Number(targets))}, round ${round} of ${run.options.rounds}`),
  });
  for (const [targets, seconds] of measured) times.set(Number(targets), seconds);
  addMode({ stage, mode, jobs, titleOf, times }, result);
}

interface ModeTimes {
  stage: Stage;
  mode: Mode;
  jobs: number;
  titleOf(targets: number): string;
  /** Seconds of each round, by number of targets. */
  times: ReadonlyMap<number, readonly number[]>;
}

function addMode({ stage, mode, jobs, titleOf, times }: ModeTimes, result: Result): void {
  const figures = [...times].map(([targets, seconds]) => ({
    targets,
    figure: figure(titleOf(targets), 's', 'lower', seconds),
  }));
  result.figures.push(...figures.map((one) => one.figure));
  const points = figures.map(({ targets, figure: one }) => [targets, jobs / median(one.rounds)] as const);
  const name = isolationName(stage, mode);
  result.series.push({
    plot: `${stage}: jobs per second over partitions`,
    name,
    xUnit: 'targets',
    yUnit: 'jobs/s',
    points,
  });
  const sorted = figures.toSorted((one, other) => one.targets - other.targets);
  const [fewest, most] = [sorted[0], sorted.at(-1)];
  if (fewest === undefined || most === undefined || fewest === most) return;
  const ratio = ratioOf(most.figure, fewest.figure);
  result.ratios.push(ratio);
  const row = stage === 'processor' ? 'X4' : 'R3';
  const what = `${jobs} jobs, isolation ${name}: time over ${most.targets} against ${fewest.targets}`;
  if (mode === 'own') result.goals.push(atMost(row, what, timesMax, ratio.rounds, '×'));
}

function startStage({
  ground,
  stage,
  mode,
  targets,
  port,
}: Omit<ModeRun, 'run'> & { targets: number }): Promise<StorageBench> {
  return ground.startBench({
    flags: [`--${stage}.isolation=${isolationName(stage, mode)}`, '--egress.allow=127.0.0.0/8'],
    stages: { real: [stage], workspace: snapshotOf(sourcesOf(stage, targets, port)) },
  });
}

function isolationName(stage: Stage, mode: Mode): 'none' | 'workspace' | 'source' | 'destination' {
  if (mode !== 'own') return mode;
  return stage === 'processor' ? 'source' : 'destination';
}

function sourcesOf(stage: Stage, targets: number, port: number): SourceSpec[] {
  const url = `http://127.0.0.1:${port}/`;
  if (stage === 'processor') {
    return Array.from({ length: targets }, (_, index) => ({
      id: `s${index}`,
      writeKey: `w${index}`,
      destinations: [],
    }));
  }
  const destinations = Array.from({ length: targets }, (_, index) => ({ id: `d${index}`, url }));
  return [{ id: 's0', writeKey: 'w0', destinations }];
}

function targetsOf(stage: Stage, mode: Mode, targets: number): StageJob[] {
  return Array.from({ length: targets }, (_, index) => {
    if (stage === 'processor') {
      const sourceId = `s${index}`;
      const own = mode === 'own' ? 'source' : mode;
      return { partition: processorPartition(own, workspaceId, sourceId), sourceId, destinationId: '' };
    }
    const destinationId = `d${index}`;
    const own = mode === 'own' ? 'destination' : mode;
    return { partition: routerPartition(own, workspaceId, destinationId), sourceId: 's0', destinationId };
  });
}
