// The command ledger: shows whether what came in is what went out or waits, per source and destination, from one
// consistent look at the database. It works beside a running program and without one, and changes nothing.

import { type CommandLine, exitCodes } from './cli.ts';
import type { CommandDatabase } from './command-database.ts';
import { StartError } from './start-error.ts';
import { balanceLedger, type LedgerBalance, totalBalances } from './storage/ledger-balance.ts';
import { readLedgerSnapshot } from './storage/ledger-snapshot.ts';
import { migrationStates } from './storage/migrate.ts';

type LedgerCommand = Pick<Extract<CommandLine, { command: 'ledger' }>, 'json' | 'byMinute' | 'sinceMinute' | 'source'>;

const msPerMinute = 60_000;

export async function runLedgerCommand(
  command: LedgerCommand,
  { postgres, description }: CommandDatabase,
): Promise<{ exitCode: number; out: string }> {
  const { sinceMinute, source: sourceId, byMinute } = command;
  const snapshot = await postgres.withSession(async (session) => {
    const missing = (await migrationStates(session)).find(({ appliedAtMs }) => appliedAtMs === undefined);
    if (missing !== undefined) {
      throw new StartError(
        `The database is older than this program: step ${missing.version} (${missing.name}) is missing.`,
        'Start Sluice once, or run `sluice migrate`.',
      );
    }
    return await readLedgerSnapshot(session, { sinceMinute, sourceId });
  });
  const balances = balanceLedger(snapshot.counts, snapshot.pending, byMinute);
  const isBalanced = balances.every(({ difference }) => difference === 0);
  const out = command.json ? jsonOf(balances, isBalanced) : tableOf(balances, isBalanced, description);
  return { exitCode: isBalanced ? exitCodes.ok : exitCodes.found, out };
}

function jsonOf(balances: readonly LedgerBalance[], balanced: boolean): string {
  const rows = balances.map(({ minute, ...rest }) => ({
    ...(minute === undefined ? {} : { minute: momentOf(minute) }),
    ...rest,
  }));
  return `${JSON.stringify({ balanced, rows, totals: totalBalances(balances) }, undefined, 2)}\n`;
}

const headings = [
  'source',
  'destination',
  ...['in', 'done', 'filtered', 'duplicates', 'suppressed', 'aborted', 'pending', 'difference'],
];
/** Columns of text; the rest are figures. */
const textColumns = 2;

function tableOf(balances: readonly LedgerBalance[], isBalanced: boolean, description: string): string {
  const withMinutes = balances.some(({ minute }) => minute !== undefined);
  const { sources, destinations } = totalBalances(balances);
  const rows = balances.map((balance) => cellsOf(balance, balance.sourceId, balance.destinationId));
  rows.push(cellsOf(sources, 'all sources', ''), cellsOf(destinations, 'all ways', 'all destinations'));
  const minutes = withMinutes ? [...balances.map(({ minute = 0 }) => momentOf(minute)), '', ''] : undefined;
  const table = [headings, ...rows].map((cells, index) =>
    minutes === undefined ? cells : [index === 0 ? 'received' : (minutes[index - 1] ?? ''), ...cells],
  );
  const texts = textColumns + (withMinutes ? 1 : 0);
  const widths = (table[0] ?? []).map((_, column) => Math.max(...table.map((cells) => cells[column]?.length ?? 0)));
  const lines = table.map((cells) =>
    cells.map((cell, column) =>
      column < texts ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    ),
  );
  const verdict = isBalanced
    ? 'Balanced: in = done + filtered + duplicates + suppressed + aborted + pending.'
    : 'NOT BALANCED: above 0 something was lost, below 0 it came from nowhere. Please report it, with the log.';
  return [
    '',
    `Ledger (${description})`,
    '',
    ...lines.map((cells) => `  ${cells.join('  ').trimEnd()}`),
    '',
    verdict,
    '',
    '',
  ].join('\n');
}

function cellsOf({ counts, pending, difference }: LedgerBalance, source: string, destination: string): string[] {
  const incoming = (counts.accepted ?? 0) + (counts.routed ?? 0);
  const done = (counts.processed ?? 0) + (counts.delivered ?? 0);
  const cells = [
    incoming,
    done,
    counts.filtered ?? 0,
    counts.deduplicated ?? 0,
    counts.suppressed ?? 0,
    counts.aborted ?? 0,
    pending,
    difference,
  ];
  return [source, destination, ...cells.map(String)];
}

function momentOf(minute: number): string {
  return new Date(minute * msPerMinute).toISOString().slice(0, 16);
}
