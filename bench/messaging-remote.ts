// What a message costs between two threads, by every way there is: our actors over a framed link, a bare port with one
// message per post, a bare port with many messages per post, and comlink.

import { once } from 'node:events';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import * as comlink from 'comlink';
import type { ActorSystem } from '../runtime/index.ts';
import { encodeBody } from '../transport/codec.ts';
import { FrameWriter } from '../transport/frame.ts';
import { createPortLink, type Envelope, type Link, workerEntry } from '../transport/index.ts';
import { createBenchSystem, pumpDefinition, receiverThread, senderThread, window } from './messaging-actors.ts';
import { comlinkEndpoint, type RemoteCounter } from './messaging-comlink.ts';

export const remoteMessages = 300_000;
export const bareMessages = 100_000;
export const comlinkCalls = 20_000;
export const bodyBytes = 200;
/** About as many as a frame of our link holds at this size, and a quarter of the window. */
export const perFrame = window / 4;
const callsUnderWay = 64;

export class RemoteBench {
  readonly system: ActorSystem;
  readonly #worker: Worker;
  readonly #bare: MessagePort;
  readonly #framed: MessagePort;
  readonly #comlinkPort: MessagePort;
  readonly #remote: comlink.Remote<RemoteCounter>;
  readonly #link: Link;

  constructor(finished: () => void) {
    const [link, bare, framed, control] = [0, 1, 2, 3].map(() => new MessageChannel());
    if (link === undefined || bare === undefined || framed === undefined || control === undefined) {
      throw new Error('expected four channels');
    }
    const ports = { linkPort: link.port2, barePort: bare.port2, framedPort: framed.port2, comlinkPort: control.port2 };
    this.#worker = new Worker(workerEntry('./messaging-worker', import.meta.url), {
      workerData: ports,
      transferList: Object.values(ports),
    });
    this.#bare = bare.port1;
    this.#framed = framed.port1;
    this.#comlinkPort = control.port1;
    this.#remote = comlink.wrap<RemoteCounter>(comlinkEndpoint(control.port1));
    this.system = createBenchSystem(senderThread, [pumpDefinition(finished)]);
    const threadsByRole = { sender: [senderThread], receiver: [receiverThread] };
    this.system.setPlacement({ epoch: 1, threadsByRole, pins: {} });
    this.#link = createPortLink(link.port1, receiverThread);
    this.system.attachLink(this.#link);
  }

  /** One object per post, structured clone and all. */
  async barePostRate(): Promise<number> {
    const body = new Uint8Array(bodyBytes);
    const began = performance.now();
    for (let sent = 0; sent < bareMessages; sent += 1) {
      this.#bare.postMessage({ body, isLast: sent === bareMessages - 1 });
    }
    await once(this.#bare, 'message');
    return (bareMessages / (performance.now() - began)) * 1000;
  }

  /** Our own frames and codec over a port, without links, credits, mailboxes or actors: posted as fast as encoded. */
  async bareFramedRate(): Promise<number> {
    const writer = new FrameWriter();
    const body = new Uint8Array(bodyBytes);
    const envelope: Envelope = { ...plainTell, body };
    const began = performance.now();
    for (let sent = 0; sent < remoteMessages; sent += perFrame) {
      for (let index = 0; index < perFrame; index += 1) {
        envelope.body = encodeBody(body);
        writer.append(envelope);
      }
      const frame = writer.finish(0, 0);
      this.#framed.postMessage(frame, [frame]);
    }
    this.#framed.postMessage('end');
    await once(this.#framed, 'message');
    return (remoteMessages / (performance.now() - began)) * 1000;
  }

  async comlinkRate(): Promise<number> {
    const body = new Uint8Array(bodyBytes);
    const began = performance.now();
    let left = comlinkCalls;
    const caller = async (): Promise<void> => {
      while (left > 0) {
        left -= 1;
        await this.#remote.count(body);
      }
    };
    await Promise.all(Array.from({ length: callsUnderWay }, caller));
    return (comlinkCalls / (performance.now() - began)) * 1000;
  }

  async askTimes(asks: number): Promise<number[]> {
    const echo = this.system.ref<number>('echo', 'a');
    return roundTripTimes(asks, (index) => echo.ask(index, { timeoutMs: 10_000 }));
  }

  barePostTimes(trips: number): Promise<number[]> {
    return roundTripTimes(trips, (index) => {
      this.#bare.postMessage({ echo: index });
      return once(this.#bare, 'message');
    });
  }

  comlinkTimes(calls: number): Promise<number[]> {
    return roundTripTimes(calls, (index) => this.#remote.echo(index));
  }

  async close(): Promise<void> {
    this.#link.close();
    for (const port of [this.#bare, this.#framed, this.#comlinkPort]) port.close();
    await this.system.drain(1000);
    await this.#worker.terminate();
  }
}

const plainTell = {
  type: 'message',
  toKind: 'sink',
  toKey: 'a',
  fromKind: 'pump',
  fromKey: 'a',
  askId: 0,
  deadlineMs: 0,
  traceparent: '',
  askChain: '',
} as const;

/** Microseconds of each trip, one after the other: what an idle system answers in. */
async function roundTripTimes(trips: number, trip: (index: number) => Promise<unknown>): Promise<number[]> {
  const timesUs: number[] = [];
  for (let index = 0; index < trips; index += 1) {
    const began = performance.now();
    await trip(index);
    timesUs.push((performance.now() - began) * 1000);
  }
  return timesUs;
}
