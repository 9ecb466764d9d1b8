// The crash matrix: every crash point with every kind of crash. First a run without a crash finds out when in the life
// of a process each point is reached; a point that no run reaches is a fault by itself, unless it is listed as one
// (crash-exemptions.ts). Then each is played (crash-round.ts), on several stages side by side.

import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { seededRandom } from '../../runtime/seams.ts';
import { type EmbeddedPostgres, openPostgres, startEmbeddedPostgres } from '../../transport/index.ts';
import { CleanupList } from '../support/cleanup.ts';
import { sharedServerSettings, silentLog, temporaryFolder } from '../support/database.ts';
import { pollUntil } from '../support/poll.ts';
import { type CrashBuild, makeCrashBuild } from './crash-build.ts';
import { unreachedReasons } from './crash-exemptions.ts';
import { notReached, type Phase, phases, playRound, type Round, share } from './crash-round.ts';
import type { CrashKind } from './crash-seam.ts';
import { CrashStage } from './crash-stage.ts';

export interface MatrixOptions {
  kinds: readonly CrashKind[];
  /** Which points to play; all are looked for. */
  wanted(point: string): boolean;
  seed: number;
  /** Every point is played so many times, each time at another moment. */
  repeats: number;
  /** At most so many rounds of each kind, chosen by the seed. */
  roundsMax?: number;
  /** No further round once so many were played. */
  enough?: number;
  lanes: number;
  /** Runs without a crash that look for points, at most: some depend on chance. */
  discoveriesMax: number;
  print(text: string): void;
}

export interface MatrixReport {
  /** That there are. */
  points: number;
  /** Rounds that crashed where they should and were judged. */
  played: number;
  /** Rounds whose point did not come, by chance; it did come in a run without a crash. */
  missed: string[];
  /** Points that no run reached and nobody exempted, and exemptions of points that are gone. */
  unreached: string[];
  faults: string[];
}

/** Rounds on one stage: what it has seen is judged as a whole, which takes longer each time. */
const roundsPerStage = 20;
/** Later occurrences are no other moment, and take longer to come. */
const occurrenceMax = 5;
/** A point that depends on chance is tried so often before it counts as missed. */
const triesMax = 4;

type Reached = ReadonlyMap<string, ReadonlyMap<Phase, number>>;

export async function runMatrix(options: MatrixOptions): Promise<MatrixReport> {
  const cleanup = new CleanupList();
  try {
    const build = makeCrashBuild(cleanup);
    const lanes = await Promise.all(Array.from({ length: options.lanes }, () => Lane.open(cleanup, build)));
    const [first] = lanes;
    if (first === undefined) throw new Error('expected at least one lane');
    const reached = await first.discover(build.points, options.discoveriesMax);
    const unreached = unreachedFaults(build.points, reached);
    const rounds = planRounds(reached, options);
    options.print(`${build.points.length} points, ${rounds.length} rounds, seed ${options.seed}`);
    const report: MatrixReport = { points: build.points.length, played: 0, missed: [], unreached, faults: [] };
    const next = (): Round | undefined =>
      report.played >= (options.enough ?? Number.POSITIVE_INFINITY) ? undefined : rounds.shift();
    const play = async (lane: Lane): Promise<void> => {
      for (let round = next(); round !== undefined; round = next()) {
        note(report, round, await lane.play(round), options.print);
      }
    };
    await Promise.all(lanes.map(play));
    return report;
  } finally {
    await cleanup.run();
  }
}

function note(report: MatrixReport, round: Round, found: readonly string[], print: (text: string) => void): void {
  const name = describeRound(round);
  const isMissed = found.length === 1 && found[0]?.startsWith(notReached) === true;
  if (isMissed) report.missed.push(name);
  else {
    report.played += 1;
    report.faults.push(...found.map((fault) => `${name}: ${fault}`));
  }
  print(`${found.length === 0 ? 'ok  ' : isMissed ? 'miss' : 'FAIL'} ${name}`);
  // At once, and not at the end of an hour.
  if (!isMissed) for (const fault of found) print(`     ${fault}`);
}

function describeRound({ point, kind, phase, occurrence }: Round): string {
  return `${kind} at ${point}@${occurrence} (${phase})`;
}

function unreachedFaults(points: readonly string[], reached: Reached): string[] {
  const exempt = Object.keys(unreachedReasons);
  const unexplained = points.filter((point) => !reached.has(point) && !exempt.some((name) => point.startsWith(name)));
  const stale = exempt.filter((name) => !points.some((point) => point.startsWith(name)));
  return [
    ...unexplained.map(
      (point) => `${point} is never reached: let the load reach it, or say why not in crash-exemptions.ts`,
    ),
    ...stale.map((name) => `crash-exemptions.ts names ${name}, which does not exist any more`),
  ];
}

function planRounds(reached: Reached, options: MatrixOptions): Round[] {
  const random = seededRandom(options.seed);
  const rounds: Round[] = [];
  for (const kind of options.kinds) {
    const ofKind: Round[] = [];
    for (const [point, counts] of [...reached].sort(([a], [b]) => (a < b ? -1 : 1))) {
      for (let repeat = 0; repeat < options.repeats; repeat += 1) {
        // The first start is like any other, but for what only an empty database needs.
        const own = phases.filter((phase) => phase !== 'first' && phase !== 'shared' && counts.has(phase));
        const possible: Phase[] = own.length > 0 ? own : [counts.has('shared') ? 'shared' : 'first'];
        const phase = possible[random.integer(possible.length)] ?? 'run';
        const occurrence =
          1 + random.integer(Math.min(occurrenceMax, Math.ceil((counts.get(phase) ?? 1) / (phase === 'run' ? 2 : 4))));
        if (options.wanted(point)) ofKind.push({ point, kind, phase, occurrence });
      }
    }
    shuffle(ofKind, random);
    rounds.push(...ofKind.slice(0, options.roundsMax));
  }
  shuffle(rounds, random);
  return rounds;
}

function added(a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): Record<string, number> {
  const sums = { ...a };
  for (const [point, count] of Object.entries(b)) sums[point] = (sums[point] ?? 0) + count;
  return sums;
}

function shuffle<Value>(values: Value[], random: { integer(max: number): number }): void {
  for (let last = values.length - 1; last > 0; last -= 1) {
    const other = random.integer(last + 1);
    const [a, b] = [values[last], values[other]];
    if (a === undefined || b === undefined) continue;
    values[last] = b;
    values[other] = a;
  }
}

/** One server and the stages on it, one after the other. */
class Lane {
  readonly #server: EmbeddedPostgres;
  readonly #build: CrashBuild;
  #stage: CrashStage | undefined;
  #stageCleanup = new CleanupList();
  #roundsLeft = 0;

  static async open(cleanup: CleanupList, build: CrashBuild): Promise<Lane> {
    const server = await startEmbeddedPostgres({
      dataDir: temporaryFolder(),
      log: silentLog,
      // SIGKILL loses nothing that was written: only the machine's end would, which no test here brings about.
      settings: { ...sharedServerSettings, shared_buffers: '32MB' },
      restartWhenLost: false,
    });
    cleanup.after(() => server.stop());
    const lane = new Lane(server, build);
    cleanup.after(() => lane.#strike());
    return lane;
  }

  private constructor(server: EmbeddedPostgres, build: CrashBuild) {
    this.#server = server;
    this.#build = build;
  }

  /** How often each point is reached, by phase, without a crash. Again while chance has left out a point it should not. */
  async discover(points: readonly string[], discoveriesMax: number): Promise<Reached> {
    const reached = new Map<string, Map<Phase, number>>();
    for (let pass = 0; pass < discoveriesMax; pass += 1) {
      await this.#discover(reached);
      if (unreachedFaults(points, reached).length === 0) break;
    }
    return reached;
  }

  async #discover(reached: Map<string, Map<Phase, number>>): Promise<void> {
    const note = (phase: Phase, counts: Record<string, number>): void => {
      for (const [point, count] of Object.entries(counts)) {
        const known = reached.get(point) ?? new Map<Phase, number>();
        reached.set(point, known.set(phase, Math.min(count, known.get(phase) ?? count)));
      }
    };
    const stage = await this.#set(true);
    note('first', stage.startCounts);
    stage.startLoad();
    await stage.loaded();
    note('run', await stage.counts());
    stage.startLoad();
    await stage.acknowledgedMore(50);
    await stage.process.kill();
    await stage.stopLoad();
    await stage.start();
    const starting = stage.startCounts;
    const faults = await stage.judge();
    if (faults.length > 0) throw new Error(`expected a run without a chosen crash to be without faults, got ${faults}`);
    note('start', added(starting, await stage.counts()));
    for (const isKilled of [false, true]) await share(stage, isKilled);
    note('shared', await stage.counts());
    stage.startLoad();
    await stage.acknowledgedMore(50);
    await stage.counts();
    const stopped = stage.process.next('stopped');
    stage.process.command({ kind: 'stop' });
    note('stop', (await stopped)?.counts ?? {});
    await stage.stopLoad();
    await this.#strike();
  }

  async play(round: Round): Promise<string[]> {
    try {
      if (round.phase === 'first' || this.#stage === undefined || this.#roundsLeft === 0) {
        await this.#strike();
        this.#stage = await this.#set(round.phase !== 'first');
        this.#roundsLeft = roundsPerStage;
      }
      this.#roundsLeft -= 1;
      const pidFile = join(this.#server.dataDirectory, 'postmaster.pid');
      let faults = await playRound(this.#stage, round, pidFile);
      for (let tries = 1; faults[0]?.startsWith(notReached) === true && tries < triesMax; tries += 1) {
        if (round.phase === 'first') break;
        if (this.#stage.process.end !== undefined) await this.#stage.start();
        faults = await playRound(this.#stage, round, pidFile);
      }
      if (faults.length > 0) await this.#strike();
      return faults;
    } catch (error) {
      const unclean = await this.#strike().then(
        () => [],
        (failure: unknown) => [`and ${String(failure)}`],
      );
      return [error instanceof Error ? (error.stack ?? error.message) : String(error), ...unclean];
    }
  }

  /** `withProcess` false: on an empty database, before anybody has started. */
  async #set(withProcess: boolean): Promise<CrashStage> {
    await this.#server.ensureRunning();
    const cleanup = new CleanupList();
    this.#stageCleanup = cleanup;
    const admin = openPostgres({ address: this.#server.address, applicationName: 'crash matrix', poolMax: 1 });
    const database = `crash_${randomBytes(4).toString('hex')}`;
    await admin.query(`create database ${database} template template0 strategy file_copy`);
    cleanup.after(() => admin.close());
    cleanup.after(async () => {
      await this.#server.ensureRunning();
      // The connection from before a crash may be found dead only now.
      const drop = `drop database if exists ${database} with (force)`;
      await pollUntil('the database to be dropped', async () => (await admin.query(drop)).rowCount >= 0);
    });
    const { lightProcessPath } = this.#build;
    const stage = await CrashStage.set({ server: this.#server, database, lightProcessPath, cleanup });
    this.#stage = stage;
    if (withProcess && !(await stage.start())) throw new Error(`the process did not start:\n${stage.process.output}`);
    return stage;
  }

  async #strike(): Promise<void> {
    this.#stage = undefined;
    const cleanup = this.#stageCleanup;
    this.#stageCleanup = new CleanupList();
    await cleanup.run();
  }
}
