// The ledger's sums in memory: what the tables hold, kept up with every commit, so that status and alarms cost no query.

import type { LedgerDelta, LedgerKind } from './contract.ts';
import { ledgerSides } from './ledger-balance.ts';

export interface LedgerTotal {
  sourceId: string;
  destinationId: string;
  kind: LedgerKind;
  count: number;
}

export class LedgerTotals {
  readonly #totals = new Map<string, LedgerTotal>();
  #atSources = 0;
  #atDestinations = 0;

  constructor(recovered: readonly LedgerDelta[]) {
    for (const delta of recovered) this.add(delta);
  }

  add({ sourceId, destinationId, kind, count }: LedgerDelta): void {
    const key = `${sourceId}\n${destinationId}\n${kind}`;
    const total = this.#totals.get(key);
    if (total === undefined) this.#totals.set(key, { sourceId, destinationId, kind, count });
    else total.count += count;
    const change = ledgerSides[kind] === 'in' ? count : -count;
    if (destinationId === '') this.#atSources += change;
    else this.#atDestinations += change;
  }

  all(): LedgerTotal[] {
    return [...this.#totals.values()];
  }

  /** What came in and has not gone out: so many jobs must be pending, at the sources and on the way to destinations. */
  get open(): { sources: number; destinations: number } {
    return { sources: this.#atSources, destinations: this.#atDestinations };
  }
}
