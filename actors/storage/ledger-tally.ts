// Adds up ledger entries of one commit, so that a batch of a thousand events costs a handful of deltas.

import type { LedgerDelta, LedgerKind } from './contract.ts';

const msPerMinute = 60_000;

export class LedgerTally {
  #deltas: LedgerDelta[] = [];
  readonly #byKey = new Map<string, LedgerDelta>();

  add(receivedAtMs: number, sourceId: string, destinationId: string, kind: LedgerKind): void {
    const minute = Math.floor(receivedAtMs / msPerMinute);
    // Ids cannot hold U+0000, so it separates them without a doubt.
    const key = `${minute}\0${kind}\0${sourceId}\0${destinationId}`;
    const known = this.#byKey.get(key);
    if (known !== undefined) {
      known.count += 1;
      return;
    }
    const delta: LedgerDelta = { minute, sourceId, destinationId, kind, count: 1 };
    this.#byKey.set(key, delta);
    this.#deltas.push(delta);
  }

  /** The sums so far; starts anew. */
  take(): LedgerDelta[] {
    const deltas = this.#deltas;
    this.#deltas = [];
    this.#byKey.clear();
    return deltas;
  }
}
