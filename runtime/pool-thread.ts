// One worker thread as main sees it: from spawn to exit. A respawned thread is a new PoolThread with the same id.
// `exit` is the only sign of death; an `error` before it only gives the reason.

import { MessageChannel, Worker } from 'node:worker_threads';
import { ControlClient, eventLoopGauge, textOfError } from '../transport/index.ts';
import type { ActorLog } from './actor.ts';
import { RunningActor, runningActorBytes } from './running-actor.ts';
import type { ThreadControl, ThreadLogLine, ThreadStart } from './thread-contract.ts';

export interface PoolThreadOptions {
  entry: URL;
  threadId: number;
  role: string;
  roles: Readonly<Record<string, string>>;
  threadData: unknown;
  refuseAskCycles: boolean;
  heapMbMax: number | undefined;
  log: ActorLog;
}

export class PoolThread {
  readonly control: ControlClient<ThreadControl>;
  readonly heartbeat: Int32Array;
  /** Who has its slice, also when the thread is stuck. */
  readonly running: RunningActor;
  /** Resolves with the reason when the thread is gone. Never rejects. */
  readonly exited: Promise<string>;
  /** Busy share of its event loop since the last call. */
  readonly loopUtilization: () => number;
  /** The same for the rebalancer, which looks at other times. */
  readonly loadUtilization: () => number;
  readonly #worker: Worker;

  constructor(options: PoolThreadOptions) {
    const { port1, port2 } = new MessageChannel();
    const heartbeat = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
    const { threadId, role, roles, threadData, refuseAskCycles } = options;
    const running = new SharedArrayBuffer(runningActorBytes);
    const given = { threadId, role, roles, threadData, refuseAskCycles };
    const start: ThreadStart = { ...given, control: port2, heartbeat, running };
    this.heartbeat = new Int32Array(heartbeat);
    this.running = new RunningActor(running);
    this.control = new ControlClient<ThreadControl>(port1);
    this.#worker = new Worker(options.entry, {
      name: `${role}-${threadId}`,
      workerData: start,
      transferList: [port2],
      ...(options.heapMbMax === undefined ? {} : { resourceLimits: { maxOldGenerationSizeMb: options.heapMbMax } }),
    });
    this.loopUtilization = eventLoopGauge(this.#worker);
    this.loadUtilization = eventLoopGauge(this.#worker);
    const thread = `${role}-${threadId}`;
    this.#worker.on('message', (line: unknown) => {
      if (isLogLine(line)) options.log[line.level]({ thread, ...line.fields }, line.text);
      // Any code in the worker can post to its parent; what it says may be anybody's data.
      else options.log.warn({ thread, type: typeof line }, 'a thread posted something that is no log line');
    });
    this.exited = this.#watchExit();
  }

  /** Stops the thread wherever it is. Never while it may hold native storage, except after the deadline. */
  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }

  #watchExit(): Promise<string> {
    return new Promise((resolve) => {
      let failure: string | undefined;
      this.#worker.on('error', (thrown: unknown) => {
        failure = textOfError(thrown);
      });
      this.#worker.once('exit', (exitCode) => {
        const end = failure === undefined ? `it ended with code ${exitCode}` : `it failed: ${failure}`;
        const actor = this.running.read();
        const reason = actor === undefined ? end : `${end}, in a slice of ${actor}`;
        this.control.close(reason);
        resolve(reason);
      });
    });
  }
}

function isLogLine(value: unknown): value is ThreadLogLine {
  if (typeof value !== 'object' || value === null) return false;
  const { level, fields, text } = value as Partial<ThreadLogLine>;
  const isLevel = level === 'debug' || level === 'info' || level === 'warn' || level === 'error';
  return isLevel && typeof text === 'string' && typeof fields === 'object' && fields !== null;
}
