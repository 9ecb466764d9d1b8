// What a message costs: inside a thread, across threads, asked and answered, and what an idle actor weighs; beside the
// bare loop and the bare port measured in the same run. One program: `node dist/bench/messaging.js [--rounds N]`.

import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { ActorSystem } from '../runtime/index.ts';
import { createPortLink, workerEntry } from '../transport/index.ts';
import { median } from './bench-settings.ts';
import {
  createBenchSystem,
  idleDefinition,
  pumpDefinition,
  receiverThread,
  type Start,
  senderThread,
  sinkDefinition,
  window,
} from './messaging-actors.ts';

interface Row {
  row: string;
  perSecond?: number;
  p50Us?: number;
  p99Us?: number;
  bytesPerActor?: number;
}

const localMessages = 2_000_000;
const remoteMessages = 300_000;
const bareMessages = 100_000;
const roundTrips = 5000;
const idleActors = 100_000;
const bodyBytes = 200;

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '3' } } });
const rounds = Number(values.rounds);

/** One finished signal at a time for whichever pump runs. */
let finish: () => void = () => undefined;

async function pumpRate(system: ActorSystem, start: Start): Promise<number> {
  const pump = system.ref<Start>('pump', 'a');
  const began = performance.now();
  await new Promise<void>((resolve) => {
    finish = resolve;
    pump.tell(start);
  });
  return (start.messages / (performance.now() - began)) * 1000;
}

async function repeat(measure: () => Promise<number> | number): Promise<number> {
  const results: number[] = [];
  for (let round = 0; round <= rounds; round += 1) results.push(await measure());
  // The first round is the warm-up.
  return Math.round(median(results.slice(1)));
}

/** A ring of objects and a handler: what the loop alone costs. */
function bareLoopRate(): number {
  let handled = 0;
  const handler = (): void => {
    handled += 1;
  };
  const queue: { message: unknown; handler: () => void }[] = [];
  const began = performance.now();
  for (let sent = 0; sent < localMessages; sent += window) {
    for (let index = 0; index < window; index += 1) queue.push({ message: index, handler });
    for (const item of queue) item.handler();
    queue.length = 0;
  }
  return (handled / (performance.now() - began)) * 1000;
}

async function barePostRate(port: MessagePort): Promise<number> {
  const body = new Uint8Array(bodyBytes);
  const began = performance.now();
  for (let sent = 0; sent < bareMessages; sent += 1) port.postMessage({ body, isLast: sent === bareMessages - 1 });
  await once(port, 'message');
  return (bareMessages / (performance.now() - began)) * 1000;
}

async function roundTripTimes(name: string, trip: (index: number) => Promise<unknown>): Promise<Row> {
  const timesUs: number[] = [];
  for (let index = 0; index < roundTrips; index += 1) {
    const began = performance.now();
    await trip(index);
    timesUs.push((performance.now() - began) * 1000);
  }
  timesUs.sort((one, other) => one - other);
  const at = (share: number): number => Math.round(timesUs[Math.floor(timesUs.length * share)] ?? 0);
  return { row: name, p50Us: at(0.5), p99Us: at(0.99) };
}

/** Heap per resident actor with an empty behavior; its key is not counted. Needs `--expose-gc`. */
async function density(): Promise<Row[]> {
  const collect = globalThis.gc;
  const system = createBenchSystem(senderThread, [idleDefinition]);
  const keys = Array.from({ length: idleActors }, (_, index) => `partition-${index}`);
  collect?.();
  const before = process.memoryUsage().heapUsed;
  const began = performance.now();
  for (const key of keys) system.ref<number>('idle', key).tell(1);
  while (system.stats().scheduler.ready > 0) await new Promise((resolve) => setImmediate(resolve));
  const perSecond = Math.round((idleActors / (performance.now() - began)) * 1000);
  collect?.();
  const bytesPerActor = Math.round((process.memoryUsage().heapUsed - before) / idleActors);
  await system.drain(10_000);
  const row: Row = { row: `create ${idleActors} actors, one message each`, perSecond };
  if (collect !== undefined) row.bytesPerActor = bytesPerActor;
  return [row];
}

async function acrossThreads(): Promise<Row[]> {
  const link = new MessageChannel();
  const bare = new MessageChannel();
  const worker = new Worker(workerEntry('./messaging-worker', import.meta.url), {
    workerData: { linkPort: link.port2, barePort: bare.port2 },
    transferList: [link.port2, bare.port2],
  });
  const system = createBenchSystem(senderThread, [pumpDefinition(() => finish())]);
  system.setPlacement({ epoch: 1, threadsByRole: { sender: [senderThread], receiver: [receiverThread] }, pins: {} });
  const wire = createPortLink(link.port1, receiverThread);
  system.attachLink(wire);
  const body = new Uint8Array(bodyBytes);
  const echo = system.ref<number>('echo', 'a');
  const rows: Row[] = [
    {
      row: `tell across threads, ${bodyBytes} B decoded and handled`,
      perSecond: await repeat(() => pumpRate(system, { messages: remoteMessages, body })),
    },
    { row: `bare postMessage, ${bodyBytes} B, one each`, perSecond: await repeat(() => barePostRate(bare.port1)) },
    await roundTripTimes('ask across threads', (index) => echo.ask(index, { timeoutMs: 1000 })),
    await roundTripTimes('bare postMessage round trip', (index) => {
      bare.port1.postMessage({ echo: index });
      return once(bare.port1, 'message');
    }),
  ];
  wire.close();
  bare.port1.close();
  await worker.terminate();
  return rows;
}

async function main(): Promise<void> {
  const settings = { node: process.version, rounds, localMessages, remoteMessages, bodyBytes, window };
  const local = createBenchSystem(senderThread, [pumpDefinition(() => finish()), sinkDefinition('sender')]);
  const rows: Row[] = [
    {
      row: 'tell inside a thread, empty handler',
      perSecond: await repeat(() => pumpRate(local, { messages: localMessages, body: 1 })),
    },
    { row: 'bare loop over a queue', perSecond: await repeat(bareLoopRate) },
    ...(await density()),
    ...(await acrossThreads()),
  ];
  await local.drain(1000);
  process.stdout.write(`${JSON.stringify({ scenario: 'messaging', settings, rows }, null, 2)}\n`);
}

await main();
