// The tables in the README, generated from the settings and the destinations themselves: documentation that cannot be
// wrong.

import { type ConfigRow, describeConfig } from '../runtime/index.ts';
import { settingsSchema } from './config.ts';
import { destinationMarkers, destinationTable } from './destination-docs.ts';

const configMarkers = { begin: '<!-- config:begin -->', end: '<!-- config:end -->' };

export function configTable(rows: readonly ConfigRow[] = describeConfig(settingsSchema)): string {
  const lines = rows.map(({ path, environment, default: value, expected, doc }) => {
    const accepts = expected.replace(/^an? /, '').replace(/^one of /, '');
    const shown = value === '' ? '(empty)' : `\`${value}\``;
    return `| \`${path}\` | \`${environment}\` | ${[shown, accepts, doc].map(escapeCell).join(' | ')} |`;
  });
  return ['| Setting | Environment | Default | Accepts | What it does |', '|---|---|---|---|---|', ...lines].join('\n');
}

/** The README with both tables as they should be; undefined when one has not exactly one pair of markers. */
export function withTables(readme: string): string | undefined {
  const withSettings = withTable(readme, configMarkers, configTable());
  return withSettings === undefined ? undefined : withTable(withSettings, destinationMarkers, destinationTable());
}

export function withTable(
  readme: string,
  { begin, end }: { begin: string; end: string },
  table: string,
): string | undefined {
  const [before, ...afterBegin] = readme.split(begin);
  const [, ...afterEnd] = (afterBegin[0] ?? '').split(end);
  if (before === undefined || afterBegin.length !== 1 || afterEnd.length !== 1) return undefined;
  return `${before}${begin}\n${table}\n${end}${afterEnd[0] ?? ''}`;
}

function escapeCell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
