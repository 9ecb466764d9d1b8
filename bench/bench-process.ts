// Starts the processes of a measurement (load generator, sink, raw limit) and asks them one question at a time.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type Cleanup, lastFirst } from '../test/support/cleanup.ts';
import { workerEntry } from '../transport/index.ts';
import type { LoadOptions, LoadResult } from './load-generator.ts';

export class BenchProcess {
  readonly #child: ChildProcess;

  constructor(cleanup: Cleanup, module: string) {
    this.#child = fork(fileURLToPath(workerEntry(module, import.meta.url)), { execArgv: ['--enable-source-maps'] });
    lastFirst(cleanup).after(() => this.stop());
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The next message, or a rejection when the process ends before it says anything. */
  async next<Message>(): Promise<Message> {
    const ended = new AbortController();
    try {
      return await Promise.race([
        once(this.#child, 'message', { signal: ended.signal }).then(([message]) => message as Message),
        once(this.#child, 'exit', { signal: ended.signal }).then(([code]) => {
          throw new Error(`expected an answer of process ${this.pid}, it ended with ${code}`);
        }),
      ]);
    } finally {
      ended.abort();
    }
  }

  async ask<Message>(question: unknown): Promise<Message> {
    const answer = this.next<Message>();
    this.#child.send(question as Parameters<ChildProcess['send']>[0]);
    return answer;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await exited;
  }
}

let nextFirstId = 1;

export type LoadRequest = Omit<LoadOptions, 'firstId'>;

export async function runLoad(cleanup: Cleanup, options: LoadRequest): Promise<LoadResult> {
  const generator = new BenchProcess(cleanup, './load-generator');
  const firstId = nextFirstId;
  // Far more ids than one load can use, so that no message id comes twice in one benchmark.
  nextFirstId += 1_000_000_000;
  const result = await generator.ask<LoadResult>({ ...options, firstId } satisfies LoadOptions);
  await generator.stop();
  return result;
}
