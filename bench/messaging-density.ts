// What an idle actor weighs, and how fast they come into being: many actors with an empty behavior in one thread.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createBenchSystem, idleDefinition, senderThread } from './messaging-actors.ts';

export const idleActors = 100_000;

export interface Density {
  /** Heap beside its key and its own state. */
  bytesPerActor: number;
  createdPerSecond: number;
}

/** The best round of each figure: both are spoilt by neighbours, never improved. */
export async function measureDensity(rounds: number): Promise<Density> {
  const results: Density[] = [];
  for (let round = 0; round < rounds; round += 1) results.push(await measureOnce());
  return {
    bytesPerActor: Math.min(...results.map((one) => one.bytesPerActor)),
    createdPerSecond: Math.max(...results.map((one) => one.createdPerSecond)),
  };
}

/** Each actor is made by its first message and handles it. */
async function measureOnce(): Promise<Density> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const system = createBenchSystem(senderThread, [idleDefinition]);
  const keys = Array.from({ length: idleActors }, (_, index) => `partition-${index}`);
  collect();
  const before = process.memoryUsage().heapUsed;
  const began = performance.now();
  for (const key of keys) system.ref<number>('idle', key).tell(1);
  while (system.stats().scheduler.ready > 0) await new Promise((resolve) => setImmediate(resolve));
  const createdPerSecond = Math.round((idleActors / (performance.now() - began)) * 1000);
  collect();
  const bytesPerActor = Math.round((process.memoryUsage().heapUsed - before) / idleActors);
  await system.drain(10_000);
  return { bytesPerActor, createdPerSecond };
}
