// Keeps a session's commits in order when Postgres refuses one of them. A consumer may have the next commit under way
// already; if that were committed, its jobs would be stored before those of the refused one, which come again in pieces,
// and events of one user would change places. Every commit tells how many refusals its session had seen when it was
// sent: one that has seen fewer than there were is sent back untried.

import type { Commit } from './contract.ts';

/** Sessions with a refusal that are remembered; refusals take a fault of ours, so there are hardly ever any. */
const sessionsMax = 1_024;

export class RefusalOrder {
  /** Refused commits by session. Session numbers are random, so they need no partition beside them. */
  readonly #refusals = new Map<number, number>();

  note({ results }: Commit): void {
    for (const { session, refusalsSeen } of results) {
      if (refusalsSeen === undefined) continue;
      const count = this.#refusals.get(session) ?? 0;
      this.#refusals.delete(session);
      this.#refusals.set(session, count + 1);
    }
    for (const session of this.#refusals.keys()) {
      if (this.#refusals.size <= sessionsMax) return;
      this.#refusals.delete(session);
    }
  }

  isBehind({ results }: Commit): boolean {
    if (this.#refusals.size === 0) return false;
    return results.some(
      ({ session, refusalsSeen }) => refusalsSeen !== undefined && refusalsSeen < (this.#refusals.get(session) ?? 0),
    );
  }
}
