// The ledger's sums in memory: what the tables hold, kept up with every commit, so that status and alarms cost no query.

import type { LedgerDelta, LedgerKind } from './contract.ts';

export interface LedgerTotal {
  sourceId: string;
  destinationId: string;
  kind: LedgerKind;
  count: number;
}

export class LedgerTotals {
  readonly #totals = new Map<string, LedgerTotal>();

  constructor(recovered: readonly LedgerDelta[]) {
    for (const delta of recovered) this.add(delta);
  }

  add({ sourceId, destinationId, kind, count }: LedgerDelta): void {
    const key = `${sourceId}\n${destinationId}\n${kind}`;
    const total = this.#totals.get(key);
    if (total === undefined) this.#totals.set(key, { sourceId, destinationId, kind, count });
    else total.count += count;
  }

  all(): LedgerTotal[] {
    return [...this.#totals.values()];
  }
}
