// How long a light actor waits beside a saturating heavy one in the same thread, for heavy messages of several lengths,
// and what the slice budget does to it. One program: `node dist/bench/scheduling.js`.

import { type ActorLog, ActorSystem, defineActor, realSeams } from '../runtime/index.ts';

const probes = 400;
const silent = (): void => undefined;
const log: ActorLog = { debug: silent, info: silent, warn: silent, error: silent };

interface Setup {
  heavyMs: number;
  sliceMs: number;
  sliceMessagesMax: number;
}

function spin(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

/** Waiting time of asks to a light actor, one after the other, in ms. */
async function measure({ heavyMs, sliceMs, sliceMessagesMax }: Setup): Promise<object> {
  const heavy = defineActor<number>({
    kind: 'heavy',
    role: 'bench',
    create: (context) => {
      const self = context.ref<number>('heavy', context.key);
      return {
        onMessage: (message) => {
          self.tell(message);
          if (heavyMs > 0) spin(heavyMs);
        },
      };
    },
  });
  const light = defineActor<number>({
    kind: 'light',
    role: 'bench',
    create: (context) => ({ onMessage: (message) => context.reply(message) }),
  });
  const system = new ActorSystem({
    threadId: 0,
    role: 'bench',
    roles: {},
    definitions: [heavy, light],
    seams: realSeams(),
    log,
    scheduling: { sliceMs, sliceMessagesMax },
  });
  if (heavyMs > 0) for (let index = 0; index < 64; index += 1) system.ref<number>('heavy', 'a').tell(index);
  const waitsMs: number[] = [];
  for (let probe = 0; probe < probes; probe += 1) {
    const began = performance.now();
    await system.ref<number>('light', 'a').ask(probe, { timeoutMs: 10_000 });
    waitsMs.push(performance.now() - began);
  }
  await system.drain(1000);
  waitsMs.sort((one, other) => one - other);
  const at = (share: number): number => Number((waitsMs[Math.floor(waitsMs.length * share)] ?? 0).toFixed(3));
  return { heavyMs, sliceMs, sliceMessagesMax, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(0.9999) };
}

const rows: object[] = [];
for (const heavyMs of [0, 0.05, 0.5, 5]) rows.push(await measure({ heavyMs, sliceMs: 2, sliceMessagesMax: 16 }));
for (const sliceMs of [1, 8]) rows.push(await measure({ heavyMs: 0.5, sliceMs, sliceMessagesMax: 64 }));
for (const sliceMessagesMax of [4, 64]) rows.push(await measure({ heavyMs: 0.05, sliceMs: 2, sliceMessagesMax }));
process.stdout.write(
  `${JSON.stringify({ scenario: 'scheduling', settings: { node: process.version, probes, turnMs: 8 }, rows }, null, 2)}\n`,
);
