// The arithmetic of the ledger (contract.ts, promise P6): what came in must equal what went out and what waits, at every
// source and on every way from a source to a destination, in every minute. Pure; who reads the figures is another matter.

import type { LedgerKind } from './contract.ts';

/** Which side of the balance a counter stands on. */
export const ledgerSides: Readonly<Record<LedgerKind, 'in' | 'out'>> = {
  accepted: 'in',
  routed: 'in',
  processed: 'out',
  deduplicated: 'out',
  suppressed: 'out',
  delivered: 'out',
  filtered: 'out',
  aborted: 'out',
};

export interface LedgerCount {
  /** Epoch minute in which the events were received. */
  minute: number;
  sourceId: string;
  /** '' at the source itself. */
  destinationId: string;
  kind: LedgerKind;
  count: number;
}

export type PendingCount = Omit<LedgerCount, 'kind'>;

export interface LedgerBalance {
  /** Undefined: over all minutes. */
  minute: number | undefined;
  sourceId: string;
  destinationId: string;
  counts: Partial<Record<LedgerKind, number>>;
  pending: number;
  /** In less out and pending: 0, or something was lost (above) or came from nowhere (below). */
  difference: number;
}

/** One balance per source and destination, and per minute if asked for; sorted by them. */
export function balanceLedger(
  counts: readonly LedgerCount[],
  pending: readonly PendingCount[],
  byMinute = false,
): LedgerBalance[] {
  const balances = new Map<string, LedgerBalance>();
  const at = ({ minute, sourceId, destinationId }: PendingCount): LedgerBalance => {
    const key = JSON.stringify([byMinute ? minute : 0, sourceId, destinationId]);
    let balance = balances.get(key);
    if (balance === undefined) {
      const when = byMinute ? minute : undefined;
      balance = { minute: when, sourceId, destinationId, counts: {}, pending: 0, difference: 0 };
      balances.set(key, balance);
    }
    return balance;
  };
  for (const entry of counts) {
    if (entry.count === 0) continue;
    const balance = at(entry);
    balance.counts[entry.kind] = (balance.counts[entry.kind] ?? 0) + entry.count;
    balance.difference += ledgerSides[entry.kind] === 'in' ? entry.count : -entry.count;
  }
  for (const waiting of pending) {
    const balance = at(waiting);
    balance.pending += waiting.count;
    balance.difference -= waiting.count;
  }
  return [...balances.values()].sort(byPlace);
}

/** The sums at all sources, and those on all ways from sources to destinations. */
export function totalBalances(balances: readonly LedgerBalance[]): {
  sources: LedgerBalance;
  destinations: LedgerBalance;
} {
  const sum = (part: readonly LedgerBalance[]): LedgerBalance => {
    const total: LedgerBalance = {
      minute: undefined,
      sourceId: '',
      destinationId: '',
      counts: {},
      pending: 0,
      difference: 0,
    };
    for (const { counts, pending, difference } of part) {
      for (const [kind, count] of Object.entries(counts)) {
        const name = kind as LedgerKind;
        total.counts[name] = (total.counts[name] ?? 0) + count;
      }
      total.pending += pending;
      total.difference += difference;
    }
    return total;
  };
  return {
    sources: sum(balances.filter(({ destinationId }) => destinationId === '')),
    destinations: sum(balances.filter(({ destinationId }) => destinationId !== '')),
  };
}

function byPlace(a: LedgerBalance, b: LedgerBalance): number {
  const minutes = (a.minute ?? 0) - (b.minute ?? 0);
  if (minutes !== 0) return minutes;
  if (a.sourceId !== b.sourceId) return a.sourceId < b.sourceId ? -1 : 1;
  if (a.destinationId === b.destinationId) return 0;
  return a.destinationId < b.destinationId ? -1 : 1;
}
