// What main tells all threads at once, by topic. The last value of each topic is kept for threads that start later: they
// are given it before their actors run.

import { TransportError } from '../transport/index.ts';
import type { PoolThread } from './pool-thread.ts';

/** A lost thread needs nothing any more; what replaces it is told anew. */
export function ignoreThreadLost(error: unknown): void {
  if (error instanceof TransportError && error.code === 'THREAD_LOST') return;
  throw error;
}

export class ThreadBroadcasts {
  readonly #lasting = new Map<string, unknown>();
  readonly #timeoutMs: number;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** Resolves when every thread applied it. Threads that come later get `lasting`. */
  async send(threads: readonly PoolThread[], topic: string, value: unknown, lasting: unknown): Promise<void> {
    const before = this.#lasting.get(topic);
    this.#lasting.set(topic, lasting);
    try {
      await Promise.all(threads.map((thread) => this.#tell(thread, topic, value).catch(ignoreThreadLost)));
    } catch (error) {
      // What reached nobody must not be what the next thread cannot start with.
      const reachedNobody = error instanceof TransportError && error.code === 'NOT_SERIALIZABLE';
      if (reachedNobody && this.#lasting.get(topic) === lasting) this.#restore(topic, before);
      throw error;
    }
  }

  /** All that a thread must know before its actors start. */
  repeat(thread: PoolThread): Promise<void>[] {
    return [...this.#lasting].map(([topic, value]) => this.#tell(thread, topic, value));
  }

  #tell(thread: PoolThread, topic: string, value: unknown): Promise<void> {
    return thread.control.call('broadcast', [topic, value], { timeoutMs: this.#timeoutMs });
  }

  #restore(topic: string, before: unknown): void {
    if (before === undefined) this.#lasting.delete(topic);
    else this.#lasting.set(topic, before);
  }
}
