// How long a light actor waits beside a saturating heavy one in the same thread, for heavy messages of several lengths,
// and what the slice budget does to it. The picture sets the waiting times of both beside one another.
//
// Time is what the process was given (CPU time): the scheduler is told by its clock, the handlers spin by it, and waits
// are measured in it, so that a neighbour on the machine is not taken for the neighbour in the thread. Waits by the wall
// are told beside it.

import { type ActorLog, ActorSystem, type Clock, defineActor, realSeams } from '../runtime/index.ts';
import { atMost, type Figure, figure, type Goal } from './harness/figures.ts';
import { rounds } from './harness/options.ts';
import { defineScenario, type Measurement } from './harness/scenario.ts';
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
  /** Most messages of the heavy actor between an ask to the light one and its handler. */
  aheadMax: number;
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

const warmUps: readonly Setup[] = [quiet, { heavyMs: 0.05, sliceMs: 2, sliceMessagesMax: 16 }];

export const scheduling = defineScenario({
  name: 'scheduling',
  question: 'how long a light actor waits beside a saturating one in its thread',
  rawLimit: '',
  peers: [],
  goalRows: [],
  options: { rounds: rounds() },
  quick: { rounds: 1 },
  async measure({ options }): Promise<Measurement> {
    const waits = new Map<Setup, Waits[]>(setups.map((setup) => [setup, []]));
    // Not counted: the CPU time of the process includes V8's compiler threads, which are busy with code that is new.
    for (const setup of warmUps) await measureWaits(setup);
    for (let round = 0; round < options.rounds; round += 1) {
      for (const setup of setups) waits.get(setup)?.push(await measureWaits(setup));
    }
    return {
      settings: { probes, turnMs, heavyBacklog, time: 'CPU time of the process' },
      figures: setups.flatMap((setup) => figuresOf(setup, waits.get(setup) ?? [])),
      goals: setups.filter(({ heavyMs }) => heavyMs > 0).flatMap((setup) => goalsOf(setup, waits.get(setup) ?? [])),
      checks: [],
      pictures: [{ name: 'scheduling', svg: pictureOf(waits) }],
    };
  },
});

function pictureOf(waits: ReadonlyMap<Setup, readonly Waits[]>): string {
  const all = (setup: Setup, of: (one: Waits) => number[]): number[] => (waits.get(setup) ?? []).flatMap(of);
  return drawShares({
    title: `Waiting time of a light actor beside a saturating one in one thread (${pictured.heavyMs} ms messages, CPU time)`,
    unit: 'ms',
    mark: { at: pictured.sliceMs, text: `slice ${pictured.sliceMs} ms` },
    lines: [
      { name: 'light, alone', color: '#8a8f98', values: all(quiet, (one) => one.lightMs) },
      { name: 'light, beside the heavy one', color: '#1668c7', values: all(pictured, (one) => one.lightMs) },
      { name: 'heavy', color: '#c2410c', values: all(pictured, (one) => one.heavyMs) },
    ],
  });
}

/** From the ask to its handler, asks to the light actor one after the other; and the same of the heavy one's messages. */
async function measureWaits({ heavyMs, sliceMs, sliceMessagesMax }: Setup): Promise<Waits> {
  const waits: Waits = { lightMs: [], lightWallMs: [], heavyMs: [], aheadMax: 0 };
  let heavyHandled = 0;
  const heavy = defineActor<{ sentMs: number }>({
    kind: 'heavy',
    role: 'bench',
    create: (context) => {
      const self = context.ref<{ sentMs: number }>('heavy', context.key);
      return {
        onMessage: ({ sentMs }) => {
          const nowMs = cpuMs();
          heavyHandled += 1;
          waits.heavyMs.push(nowMs - sentMs);
          self.tell({ sentMs: nowMs });
          spin(heavyMs);
        },
      };
    },
  });
  const light = defineActor<{ sentMs: number; sentWallMs: number; sentAfter: number }>({
    kind: 'light',
    role: 'bench',
    create: (context) => ({
      onMessage: ({ sentMs, sentWallMs, sentAfter }) => {
        waits.aheadMax = Math.max(waits.aheadMax, heavyHandled - sentAfter);
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
    const message = { sentMs: cpuMs(), sentWallMs: performance.now(), sentAfter: heavyHandled };
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

function titleOf({ heavyMs, sliceMs, sliceMessagesMax }: Setup): string {
  const neighbour = heavyMs === 0 ? 'alone' : `beside ${heavyMs} ms messages`;
  return `${neighbour}, slice ${sliceMs} ms or ${sliceMessagesMax} messages`;
}

function figuresOf(setup: Setup, waits: readonly Waits[]): Figure[] {
  const at = (share: number, of: (one: Waits) => number[]): number[] => waits.map((one) => percentile(of(one), share));
  const title = titleOf(setup);
  const figures = [
    figure(
      `${title}: light, p50`,
      'ms',
      'lower',
      at(0.5, (one) => one.lightMs),
    ),
    figure(
      `${title}: light, p99`,
      'ms',
      'lower',
      at(0.99, (one) => one.lightMs),
    ),
    figure(
      `${title}: light, p99 by the wall`,
      'ms',
      'lower',
      at(0.99, (one) => one.lightWallMs),
      'fact',
    ),
  ];
  if (setup.heavyMs === 0) return figures;
  // What the light actor would wait were messages served in the order they came: the whole backlog of its neighbour.
  const inOrderMs = setup.heavyMs * heavyBacklog;
  return [
    ...figures,
    figure(
      `${title}: heavy, p50`,
      'ms',
      'neither',
      at(0.5, (one) => one.heavyMs),
      'fact',
    ),
    figure(`${title}: light, were it served in order`, 'ms', 'neither', [inOrderMs], 'fact'),
  ];
}

/** A slice is over when its time is up, but never amid a message. Held against the median of the rounds. */
/** The bound in messages is exact; in milliseconds the machine has its say: helper threads of V8 count as CPU time too. */
function goalsOf(setup: Setup, waits: readonly Waits[]): Goal[] {
  const { heavyMs, sliceMs, sliceMessagesMax } = setup;
  const boundMs = Math.min(sliceMs + heavyMs, sliceMessagesMax * heavyMs) + turnOverheadMs;
  const p99 = waits.map((one) => percentile(one.lightMs, 0.99));
  const title = `light actor ${titleOf(setup)}`;
  const ahead = waits.map(({ aheadMax }) => aheadMax);
  return [
    atMost('slice', `${title}: p99 wait`, Number(boundMs.toFixed(2)), p99, 'ms'),
    atMost('slice', `${title}: most messages ahead`, sliceMessagesMax, [Math.max(...ahead)], 'messages'),
  ];
}

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? 0;
}
