// The ledger as Postgres has it, read past the program: what came in must equal what went out plus what is pending,
// exactly, per source and per source and destination (promise P6). Reading the tables keeps the judge apart from the judged.

import type { LedgerKind } from '../../actors/storage/contract.ts';
import type { Postgres } from '../../transport/index.ts';
import { queuesOf } from './status.ts';

interface LedgerRow {
  source_id: string;
  destination_id: string;
  kind: LedgerKind;
  count: number;
}

export class Ledger {
  readonly #rows: readonly LedgerRow[];

  constructor(rows: readonly LedgerRow[]) {
    this.#rows = rows;
  }

  /** `destinationId` '' for what is counted per source. */
  count(sourceId: string, destinationId: string, kind: LedgerKind): number {
    return this.#rows
      .filter((row) => row.source_id === sourceId && row.destination_id === destinationId && row.kind === kind)
      .reduce((sum, row) => sum + row.count, 0);
  }

  /** What does not balance, given /status of the same moment: ask when nothing moves. */
  faults(status: unknown): string[] {
    const faults: string[] = [];
    const pending = { gw: 0, rt: 0 };
    const pairs = new Map(this.#rows.map((row) => [JSON.stringify([row.source_id, row.destination_id]), row]));
    for (const [name, { source_id: sourceId, destination_id: destinationId }] of pairs) {
      const of = (kind: LedgerKind): number => this.count(sourceId, destinationId, kind);
      const isSource = destinationId === '';
      const open = isSource
        ? of('accepted') - of('processed') - of('deduplicated') - of('suppressed') - of('filtered') - of('aborted')
        : of('routed') - of('delivered') - of('filtered') - of('aborted');
      if (open < 0) faults.push(`${name}: ${-open} more came out than went in`);
      pending[isSource ? 'gw' : 'rt'] += open;
    }
    const queued = { gw: 0, rt: 0 };
    for (const { queue, pending: count } of queuesOf(status)) queued[queue === 'gw' ? 'gw' : 'rt'] += count;
    for (const queue of ['gw', 'rt'] as const) {
      if (pending[queue] === queued[queue]) continue;
      faults.push(`${queue}: the ledger says ${pending[queue]} are pending, the queue ${queued[queue]}`);
    }
    return faults;
  }
}

/** Recent rows and folded totals together. */
export async function readLedger(postgres: Postgres): Promise<Ledger> {
  const { rows: tables } = await postgres.query<{ name: string }>(
    "SELECT tablename AS name FROM pg_tables WHERE tablename ~ '^sluice_ledger_(totals|(l[0-9]+_)?[0-9]+)$'",
  );
  const parts = tables.map(({ name }) => `SELECT source_id, destination_id, kind, count FROM ${name}`);
  const { rows } = await postgres.query<LedgerRow>(
    `SELECT source_id, destination_id, kind, sum(count)::bigint AS count FROM (${parts.join(' UNION ALL ')}) AS all_rows
     GROUP BY source_id, destination_id, kind`,
  );
  return new Ledger(rows.map((row) => ({ ...row, count: Number(row.count) })));
}
