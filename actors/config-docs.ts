// The table of settings in the README, generated from the settings themselves: documentation that cannot be wrong.

import { type ConfigRow, describeConfig } from '../runtime/index.ts';
import { settingsSchema } from './config.ts';

const begin = '<!-- config:begin -->';
const end = '<!-- config:end -->';

export function configTable(rows: readonly ConfigRow[] = describeConfig(settingsSchema)): string {
  const lines = rows.map(({ path, environment, default: value, expected, doc }) => {
    const accepts = expected.replace(/^an? /, '').replace(/^one of /, '');
    const shown = value === '' ? '(empty)' : `\`${value}\``;
    return `| \`${path}\` | \`${environment}\` | ${[shown, accepts, doc].map(escapeCell).join(' | ')} |`;
  });
  return ['| Setting | Environment | Default | Accepts | What it does |', '|---|---|---|---|---|', ...lines].join('\n');
}

/** The README with the table as it should be; undefined when it has not exactly one pair of markers. */
export function withConfigTable(readme: string, table: string = configTable()): string | undefined {
  const [before, ...afterBegin] = readme.split(begin);
  const [, ...afterEnd] = (afterBegin[0] ?? '').split(end);
  if (before === undefined || afterBegin.length !== 1 || afterEnd.length !== 1) return undefined;
  return `${before}${begin}\n${table}\n${end}${afterEnd[0] ?? ''}`;
}

function escapeCell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
