// Stands at the far end of the gateway's asks: records every commit and answers as the test says. Only the boundary
// is replaced; what the storage actor does with a commit is tested with the storage actor.

import type { Job } from '../../actors/job.ts';
import type { Commit, CommitReply, StorageMessage } from '../../actors/storage/contract.ts';
import { readJobs } from '../../actors/storage/job-row.ts';
import type { ActorRef } from '../../runtime/actor.ts';

export interface HeldCommit {
  commit: Commit;
  reply(reply: CommitReply): void;
  fail(error: Error): void;
}

export class RecordingStorage implements ActorRef<StorageMessage> {
  readonly address = { kind: 'storage', key: '0' };
  readonly commits: Commit[] = [];
  /** Answers a commit; undefined holds it until the test does. */
  decide: (commit: Commit) => CommitReply | Error | undefined = () => ({ kind: 'committed' });
  readonly held: HeldCommit[] = [];
  readonly #wakers: (() => void)[] = [];

  /** Every job of every commit that was answered `committed` at once. */
  readonly stored: Job[] = [];

  tell(): boolean {
    return false;
  }

  ask<Reply>(message: StorageMessage): Promise<Reply> {
    if (message.kind !== 'commit') return Promise.reject(new Error(`expected a commit, got ${message.kind}`));
    // Rows are copied, as they would be on their way to another thread.
    const commit = structuredClone(message);
    this.commits.push(commit);
    return new Promise<CommitReply>((resolve, reject) => {
      const decision = this.decide(commit);
      if (decision === undefined) this.held.push({ commit, reply: resolve, fail: reject });
      else if (decision instanceof Error) reject(decision);
      else resolve(this.#record(commit, decision));
      for (const wake of this.#wakers.splice(0)) wake();
    }) as Promise<Reply>;
  }

  /** Resolves once that many commits have arrived. */
  async arrived(count: number): Promise<void> {
    while (this.commits.length < count) {
      await new Promise<void>((resolve) => this.#wakers.push(resolve));
    }
  }

  #record(commit: Commit, reply: CommitReply): CommitReply {
    if (reply.kind === 'committed') this.stored.push(...jobsOf(commit));
    return reply;
  }
}

export function jobsOf(commit: Commit): Job[] {
  return commit.jobs.flatMap(({ rows }) => readJobs(rows));
}
