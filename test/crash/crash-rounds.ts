// Crashes of the whole program, with its threads and its own PostgreSQL: at chosen points (`runCrashesAt`), and the crash
// loop: one data folder through many violent ends. Each round sends events, kills Sluice or PostgreSQL (or
// both) at a moment chosen by the seed, sometimes once more while it recovers, and then looks at what must hold: every
// acknowledged event arrived, order per user, duplicates recognisable and few, the ledger exact.

import { CleanupList } from '../support/cleanup.ts';
import {
  isRunning,
  killPostmaster,
  openCluster,
  postmasterPid,
  postmasterPidFile,
} from '../support/embedded-cluster.ts';
import { type Delivery, eventOf, type FakeDestination } from '../support/fake-destination.ts';
import { readLedger } from '../support/ledger.ts';
import { checkDeliveries } from '../support/order-checker.ts';
import { startPipeline, UserLoad } from '../support/pipeline.ts';
import { pollUntil, within } from '../support/poll.ts';
import type { Program } from '../support/program.ts';
import { pendingJobs } from '../support/status.ts';
import { makeCrashBuild } from './crash-build.ts';
import type { CrashKind } from './crash-seam.ts';

export interface CrashOptions {
  rounds: number;
  seed: number;
  print(text: string): void;
}

type Victim = 'sluice' | 'postgres' | 'both';

const victims: readonly Victim[] = ['sluice', 'sluice', 'postgres', 'both'];
const users = 24;
/** A round kills after between 1 and this many new deliveries. */
const deliveriesBeforeKillMax = 400;
const recoveredMs = 120_000;
/** Share of deliveries the destination refuses for the moment, so that retries are under way when the end comes. */
const failingShare = 0.05;

export async function runCrashRounds(options: CrashOptions): Promise<string[]> {
  const cleanup = new CleanupList();
  try {
    const { program, destination } = await startPipeline(cleanup);
    const run = new CrashRun(program, destination, options);
    for (let round = 0; round < options.rounds; round += 1) {
      const faults = await run.round(round);
      if (faults.length > 0) return faults.map((fault) => `round ${round}: ${fault}`);
    }
    return await run.stop();
  } finally {
    await cleanup.run();
  }
}

export interface WholeCrash {
  /** From crash-build.ts. */
  point: string;
  occurrence: number;
  kind: CrashKind;
}

/** One data folder through all of `crashes`, one after the other; each is judged before the next. */
export async function runCrashesAt(crashes: readonly WholeCrash[], print: (text: string) => void): Promise<string[]> {
  const cleanup = new CleanupList();
  try {
    const { programPath: path, points } = makeCrashBuild(cleanup);
    const unknown = crashes.filter(({ point }) => !points.includes(point));
    if (unknown.length > 0) return unknown.map(({ point }) => `${point} does not exist`);
    const { program, destination } = await startPipeline(cleanup, { path });
    const run = new CrashRun(program, destination, { seed: 1, print });
    const faults: string[] = [];
    for (const [round, crash] of crashes.entries()) {
      const found = await run.roundAt(round, crash);
      faults.push(...found.map((fault) => `${crash.kind} at ${crash.point}: ${fault}`));
    }
    return [...faults, ...(await run.stop())];
  } finally {
    await cleanup.run();
  }
}

class CrashRun {
  #program: Program;
  /** Of the program without an order to crash. */
  readonly env: Program['options']['env'];
  readonly #destination: FakeDestination;
  readonly #random: () => number;
  readonly #print: (text: string) => void;

  constructor(program: Program, destination: FakeDestination, { seed, print }: Omit<CrashOptions, 'rounds'>) {
    this.#program = program;
    this.env = program.options.env;
    this.#destination = destination;
    this.#random = seededRandom(seed);
    this.#print = print;
    const answerRandom = seededRandom(seed + 1);
    destination.respond(() => (answerRandom() < failingShare ? 503 : 200));
  }

  async round(round: number): Promise<string[]> {
    const victim = victims[Math.floor(this.#random() * victims.length)] ?? 'sluice';
    const target = this.#destination.accepted().length + 1 + Math.floor(this.#random() * deliveriesBeforeKillMax);
    const load = new UserLoad();
    const running = load.run(this.#program, users, `r${round}`);
    await this.#destination.waitFor('deliveries before the kill', () => this.#destination.accepted().length >= target);
    await this.#kill(victim);
    // PostgreSQL alone comes back under a program that goes on; the load must not go on for ever.
    load.stop();
    await running;
    await this.#recover(this.#random() < 0.3);
    const faults = await this.#check(round, load);
    const { length: acknowledged } = load.acknowledged;
    this.#print(`round ${round}: killed ${victim}, ${acknowledged} acknowledged, ${faults.length} faults`);
    return faults;
  }

  /** Starts the program with its end decided, lets it come, and starts it again without. */
  async roundAt(round: number, { point, occurrence, kind }: WholeCrash): Promise<string[]> {
    const { env } = this;
    await this.#program.stop();
    const order = { CRASH_POINT: `${point}@${occurrence}`, CRASH_KIND: kind };
    const pidFile = postmasterPidFile(this.#program.dataDir);
    this.#program = this.#program.again({ env: { ...env, ...order, CRASH_PID_FILE: pidFile } });
    const load = new UserLoad();
    const isReady = await Promise.race([this.#program.exited.then(() => false), this.#program.waitReady()]).catch(
      () => false,
    );
    const pid = postmasterPid(this.#program.dataDir);
    const running = isReady === false ? Promise.resolve() : load.run(this.#program, users, `r${round}`);
    if (kind === 'self') await within(`a crash at ${point}`, recoveredMs, this.#program.exited);
    else if (this.#program.isRunning) await this.#returnOfPostgres(pid, load);
    load.stop();
    await running;
    const { signal } = this.#program.isRunning ? { signal: null } : await this.#program.exited;
    const faults = kind === 'self' && signal !== 'SIGKILL' ? [`the program ended by ${signal}, not by the crash`] : [];
    if (!this.#program.isRunning) this.#program = await this.#program.again({ env }).waitReady();
    faults.push(...(await this.#check(round, load)));
    this.#print(`${kind} at ${point}: ${load.acknowledged.length} acknowledged, ${faults.length} faults`);
    return faults;
  }

  /** Killed and started again under a program that goes on: clients are told 503 meanwhile, and served afterwards. */
  async #returnOfPostgres(pid: number | undefined, load: UserLoad): Promise<void> {
    const changed = () => {
      const now = postmasterPid(this.#program.dataDir);
      return now !== undefined && now !== pid ? true : undefined;
    };
    await pollUntil('another PostgreSQL', changed, recoveredMs);
    const before = load.acknowledged.length;
    const served = () => (load.acknowledged.length > before + users ? true : undefined);
    await pollUntil('events to be accepted again', served, recoveredMs);
  }

  async stop(): Promise<string[]> {
    const { code, signal } = await this.#program.stop();
    const faults = code === 0 ? [] : [`expected a clean end, got ${code ?? signal}`];
    if (postmasterPid(this.#program.dataDir) !== undefined) faults.push('PostgreSQL outlived a clean stop');
    return faults;
  }

  async #kill(victim: Victim): Promise<void> {
    if (victim !== 'postgres') await this.#program.kill();
    if (victim !== 'sluice') await killPostmaster(this.#program.dataDir);
  }

  async #recover(killAgain: boolean): Promise<void> {
    if (!this.#program.isRunning) this.#program = this.#program.again();
    if (killAgain) {
      // In the middle of the recovery: as soon as PostgreSQL is there again, before anything is ready.
      await pollUntil('PostgreSQL to be back', () => {
        const pid = postmasterPid(this.#program.dataDir);
        return (pid !== undefined && isRunning(pid)) || !this.#program.isRunning ? true : undefined;
      });
      await this.#program.kill();
      this.#program = this.#program.again();
    }
    await this.#program.waitReady();
  }

  async #check(round: number, load: UserLoad): Promise<string[]> {
    const prefix = `r${round}-`;
    const ofThisRound = (): Delivery[] =>
      this.#destination.accepted().filter((delivery) => eventOf(delivery).messageId.startsWith(prefix));
    const report = () => {
      const arrived = ofThisRound().map((delivery) => ({
        ...eventOf(delivery),
        idempotencyKey: delivery.idempotencyKey,
      }));
      return checkDeliveries(load.acknowledged, arrived, load.uncertain);
    };
    const settled = await pollUntil(
      'the queues to be empty',
      async () => {
        const status = await this.#program.json('/status');
        return pendingJobs(status) === 0 ? status : undefined;
      },
      recoveredMs,
    );
    const { lost, unknown, unrecognisable, outOfOrder } = report();
    const faults: string[] = [];
    if (lost.length > 0) faults.push(`${lost.length} acknowledged events were lost: ${lost.slice(0, 5).join(', ')}`);
    if (unknown.length > 0) faults.push(`${unknown.length} events came that nobody sent`);
    if (unrecognisable.length > 0) faults.push(`${unrecognisable.length} duplicates came with another idempotency key`);
    if (outOfOrder.length > 0) faults.push(`${outOfOrder.length} events came out of order: ${outOfOrder.slice(0, 5)}`);
    return [...faults, ...(await this.#ledgerFaults(settled))];
  }

  async #ledgerFaults(status: unknown): Promise<string[]> {
    const cleanup = new CleanupList();
    try {
      return (await readLedger(openCluster(cleanup, this.#program.dataDir))).faults(status);
    } finally {
      await cleanup.run();
    }
  }
}

/** mulberry32: small, fast, and the same on every machine. */
function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
