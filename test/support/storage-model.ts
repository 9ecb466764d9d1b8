// What storage promises, as a model small enough to be seen to be right: lists of jobs, and sessions that are handed
// the unfinished ones in order. storage-commands.ts plays the same script on it and on the real thing.

import type { JobState, QueueName } from '../../actors/job.ts';
import { isTerminal } from '../../actors/job.ts';
import type { LedgerKind } from '../../actors/storage/contract.ts';

export interface Place {
  queue: QueueName;
  partition: string;
}

export interface ModelJob extends Place {
  messageId: string;
  parent: ModelJob | undefined;
  /** Last explicit status that did not end it. */
  tried: { state: JobState; attempt: number; code: number } | undefined;
  attempts: number;
  end: JobState | undefined;
}

interface ModelSession {
  demand: number;
  /** In the order in which they were handed out, with the status that came along. */
  handed: Map<ModelJob, ModelJob['tried']>;
}

export class StorageModel {
  readonly #jobs = new Map<string, ModelJob[]>();
  readonly #sessions = new Map<string, ModelSession>();
  readonly ledger = new Map<LedgerKind, number>();
  #messages = 0;

  /** A job that is not stored yet: its place in line comes with `store`. */
  newJob(place: Place, parent?: ModelJob): ModelJob {
    this.#messages += 1;
    const { queue, partition } = place;
    const messageId = parent === undefined ? `m${this.#messages}` : `${parent.messageId}/${this.#messages}`;
    return { queue, partition, messageId, parent, tried: undefined, attempts: 0, end: undefined };
  }

  store(jobs: readonly ModelJob[]): void {
    for (const job of jobs) {
      const line = this.#line(job);
      line.push(job);
      if (job.parent === undefined) this.#count('accepted');
    }
    this.#hand();
  }

  open(place: Place): void {
    this.#sessions.set(keyOf(place), { demand: 0, handed: new Map() });
  }

  pull(place: Place, slots: number): void {
    const session = this.#sessions.get(keyOf(place));
    if (session !== undefined) session.demand += slots;
    this.#hand();
  }

  close(place: Place): void {
    this.#sessions.delete(keyOf(place));
  }

  /** The process is gone, and every session with it. */
  restart(): void {
    this.#sessions.clear();
  }

  isOpen(place: Place): boolean {
    return this.#sessions.has(keyOf(place));
  }

  /** What the present session holds and has not finished, in order. */
  held(place: Place): ModelJob[] {
    return this.handed(place).flatMap(([job]) => (job.end === undefined ? job : []));
  }

  /** Everything the present session was ever handed, in order, with the status that came along. */
  handed(place: Place): [ModelJob, ModelJob['tried']][] {
    return [...(this.#sessions.get(keyOf(place))?.handed ?? [])];
  }

  report(results: readonly { job: ModelJob; state: JobState; code: number }[]): void {
    for (const { job, state, code } of results) {
      if (state !== 'waiting') job.attempts += 1;
      if (isTerminal(state)) {
        job.end = state;
        this.#count(state === 'succeeded' ? 'processed' : 'aborted');
      } else job.tried = { state, attempt: job.attempts, code };
    }
  }

  all(): ModelJob[] {
    return [...this.#jobs.values()].flat();
  }

  unfinished(place: Place): ModelJob[] {
    return this.#line(place).filter((job) => job.end === undefined);
  }

  places(): Place[] {
    return [...this.#jobs.values()].flatMap((line) => line[0] ?? []);
  }

  /** A session is handed the first unfinished jobs it does not have yet, as many as it asked for. */
  #hand(): void {
    for (const [key, session] of this.#sessions) {
      for (const job of this.#jobs.get(key) ?? []) {
        if (session.demand === 0) break;
        if (job.end !== undefined || session.handed.has(job)) continue;
        session.handed.set(job, job.tried);
        session.demand -= 1;
      }
    }
  }

  #line(place: Place): ModelJob[] {
    const key = keyOf(place);
    const line = this.#jobs.get(key) ?? [];
    this.#jobs.set(key, line);
    return line;
  }

  #count(kind: LedgerKind): void {
    this.ledger.set(kind, (this.ledger.get(kind) ?? 0) + 1);
  }
}

export function keyOf({ queue, partition }: Place): string {
  return `${queue}/${partition}`;
}
