// The command reports: what became of events by stage, of the last hour or since a time, from the database. It works
// beside a running program and without one.

import { type CommandLine, exitCodes } from './cli.ts';
import type { CommandDatabase } from './command-database.ts';
import { minuteOf } from './observations/contract.ts';
import { type Report, readReports } from './reporting/report-query.ts';

type ReportCommand = Pick<Extract<CommandLine, { command: 'reports' }>, 'json' | 'sinceMinute' | 'source'>;

const listedMax = 1_000;
const minutesDefault = 60;
const headings = ['source', 'destination', 'stage', 'state', 'code', 'type', 'event', 'count'];

export async function runReportCommand(
  { json, sinceMinute, source }: ReportCommand,
  { postgres, description }: Pick<CommandDatabase, 'postgres' | 'description'>,
  nowMs: number,
): Promise<{ exitCode: number; out: string }> {
  const nowMinute = minuteOf(nowMs);
  const reports = await readReports(postgres, {
    sinceMinute: sinceMinute ?? nowMinute - minutesDefault,
    untilMinute: nowMinute + 1,
    labels: source === undefined ? {} : { sourceId: source },
    byMinute: false,
    limit: listedMax,
  });
  const out = json ? `${JSON.stringify({ reports }, undefined, 2)}\n` : tableOf(reports, description);
  return { exitCode: exitCodes.ok, out };
}

function tableOf(reports: readonly Report[], description: string): string {
  if (reports.length === 0) {
    return `\nNo reports (${description}). They are off unless reporting.enabled or a workspace's settings.reporting is true.\n\n`;
  }
  const rows = [headings, ...reports.map(cellsOf)];
  const widths = headings.map((_, column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0)));
  const lines = rows.map((cells) => cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '));
  return ['', `Reports (${description})`, '', ...lines.map((line) => `  ${line.trimEnd()}`), '', ''].join('\n');
}

function cellsOf(report: Report): string[] {
  const { sourceId, destinationId, reportedBy, state, statusCode, eventType, eventName, count } = report;
  return [sourceId, destinationId, reportedBy, state, statusCode, eventType, eventName, count].map((cell) =>
    String(cell ?? ''),
  );
}
