// How long a light actor waits beside a saturating heavy one in the same thread, for heavy messages of several lengths,
// and what the slice budget does to it. The picture sets the waiting times of both beside one another.
//
// Time is what the process was given (CPU time): the scheduler is told by its clock, the handlers spin by it, and waits
// are measured in it, so that a neighbour on the machine is not taken for the neighbour in the thread. Waits by the wall
// are told beside it.

import { type ActorLog, ActorSystem, type Clock, defineActor, realSeams } from '../runtime/index.ts';
import type { Cleanup } from '../test/support/cleanup.ts';
import { type BenchGoal, type BenchOptions, type BenchResult, machineSettings, median } from './bench-settings.ts';
import { drawShares } from './share-picture.ts';

const probes = 400;
const turnMs = 8;
/** Messages the heavy actor always has waiting: it never runs out of work. */
const heavyBacklog = 64;
/** What a turn of the loop and a busy neighbour on the machine may add to the slice. */
const turnOverheadMs = 1;
const silent = (): void => undefined;
const log: ActorLog = { debug: silent, info: silent, warn: silent, error: silent };

interface Setup {
  /** What the heavy actor does with each message; 0 = there is none. */
  heavyMs: number;
  sliceMs: number;
  sliceMessagesMax: number;
}

interface Waits {
  lightMs: number[];
  lightWallMs: number[];
  heavyMs: number[];
}

interface SchedulingRow extends Setup {
  lightP50Ms: number;
  lightP99Ms: number;
  lightP99WallMs: number;
  heavyP50Ms: number;
  /** What the light actor would wait were messages served in the order they came: the whole backlog of its neighbour. */
  inOrderMs: number;
}

const quiet: Setup = { heavyMs: 0, sliceMs: 2, sliceMessagesMax: 16 };
const pictured: Setup = { heavyMs: 0.5, sliceMs: 2, sliceMessagesMax: 16 };
const setups: readonly Setup[] = [
  quiet,
  { heavyMs: 0.05, sliceMs: 2, sliceMessagesMax: 16 },
  pictured,
  { heavyMs: 5, sliceMs: 2, sliceMessagesMax: 16 },
  { heavyMs: 0.5, sliceMs: 1, sliceMessagesMax: 64 },
  { heavyMs: 0.5, sliceMs: 8, sliceMessagesMax: 64 },
  { heavyMs: 0.05, sliceMs: 2, sliceMessagesMax: 4 },
  { heavyMs: 0.05, sliceMs: 2, sliceMessagesMax: 64 },
];

export async function measureScheduling(_cleanup: Cleanup, { rounds }: BenchOptions): Promise<BenchResult> {
  const waits = new Map<Setup, Waits[]>(setups.map((setup) => [setup, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const setup of setups) waits.get(setup)?.push(await measureWaits(setup));
  }
  const rows = setups.map((setup) => rowOf(setup, waits.get(setup) ?? []));
  const settings = { ...machineSettings(), rounds, probes, turnMs, heavyBacklog, time: 'CPU time of the process' };
  const all = (setup: Setup, of: (one: Waits) => number[]): number[] => (waits.get(setup) ?? []).flatMap(of);
  const picture = drawShares({
    title: `Waiting time of a light actor beside a saturating one in one thread (${pictured.heavyMs} ms messages, CPU time)`,
    unit: 'ms',
    mark: { at: pictured.sliceMs, text: `slice ${pictured.sliceMs} ms` },
    lines: [
      { name: 'light, alone', color: '#8a8f98', values: all(quiet, (one) => one.lightMs) },
      { name: 'light, beside the heavy one', color: '#1668c7', values: all(pictured, (one) => one.lightMs) },
      { name: 'heavy', color: '#c2410c', values: all(pictured, (one) => one.heavyMs) },
    ],
  });
  return { settings, rows, goals: rows.filter((row) => row.heavyMs > 0).map(goalOf), picture };
}

/** From the ask to its handler, asks to the light actor one after the other; and the same of the heavy one's messages. */
async function measureWaits({ heavyMs, sliceMs, sliceMessagesMax }: Setup): Promise<Waits> {
  const waits: Waits = { lightMs: [], lightWallMs: [], heavyMs: [] };
  const heavy = defineActor<{ sentMs: number }>({
    kind: 'heavy',
    role: 'bench',
    create: (context) => {
      const self = context.ref<{ sentMs: number }>('heavy', context.key);
      return {
        onMessage: ({ sentMs }) => {
          const nowMs = cpuMs();
          waits.heavyMs.push(nowMs - sentMs);
          self.tell({ sentMs: nowMs });
          spin(heavyMs);
        },
      };
    },
  });
  const light = defineActor<{ sentMs: number; sentWallMs: number }>({
    kind: 'light',
    role: 'bench',
    create: (context) => ({
      onMessage: ({ sentMs, sentWallMs }) => {
        waits.lightMs.push(cpuMs() - sentMs);
        waits.lightWallMs.push(performance.now() - sentWallMs);
        context.reply(true);
      },
    }),
  });
  const system = new ActorSystem({
    threadId: 0,
    role: 'bench',
    roles: {},
    definitions: [heavy, light],
    seams: { ...realSeams(), clock: cpuClock() },
    log,
    scheduling: { sliceMs, sliceMessagesMax, turnMs },
  });
  if (heavyMs > 0) {
    const ref = system.ref<{ sentMs: number }>('heavy', 'a');
    for (let index = 0; index < heavyBacklog; index += 1) ref.tell({ sentMs: cpuMs() });
  }
  for (let probe = 0; probe < probes; probe += 1) {
    const message = { sentMs: cpuMs(), sentWallMs: performance.now() };
    await system.ref('light', 'a').ask(message, { timeoutMs: 10_000 });
  }
  await system.drain(1000);
  return waits;
}

function spin(ms: number): void {
  const until = cpuMs() + ms;
  while (cpuMs() < until);
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function cpuClock(): Clock {
  const { clock } = realSeams();
  return {
    nowMs: () => clock.nowMs(),
    monotonicMs: cpuMs,
    setTimer: (delayMs, callback) => clock.setTimer(delayMs, callback),
  };
}

/** Medians over the rounds, so that one round beside a busy neighbour does not decide. */
function rowOf(setup: Setup, rounds: readonly Waits[]): SchedulingRow {
  const at = (share: number, of: (one: Waits) => number[]): number =>
    Number(median(rounds.map((one) => percentile(of(one), share))).toFixed(3));
  return {
    ...setup,
    lightP50Ms: at(0.5, (one) => one.lightMs),
    lightP99Ms: at(0.99, (one) => one.lightMs),
    lightP99WallMs: at(0.99, (one) => one.lightWallMs),
    heavyP50Ms: at(0.5, (one) => one.heavyMs),
    inOrderMs: setup.heavyMs * heavyBacklog,
  };
}

/** A slice is over when its time is up, but never amid a message. */
function goalOf({ heavyMs, sliceMs, sliceMessagesMax, lightP99Ms }: SchedulingRow): BenchGoal {
  const boundMs = Math.min(sliceMs + heavyMs, sliceMessagesMax * heavyMs) + turnOverheadMs;
  return {
    row: `light actor beside ${heavyMs} ms messages, slice ${sliceMs} ms or ${sliceMessagesMax} messages: p99 wait`,
    goal: `<= ${Number(boundMs.toFixed(2))} ms: one slice, the message it ends in, ${turnOverheadMs} ms for the loop`,
    measured: lightP99Ms,
    met: lightP99Ms <= boundMs,
  };
}

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? 0;
}
