// The command migrate: forward to the newest version (which a start does by itself), back to an older one before an
// older program is started again, or a look at where the database stands.

import type { CommandLine } from './cli.ts';
import type { CommandDatabase } from './command-database.ts';
import { type MigrationState, migrate, migrationStates } from './storage/migrate.ts';

type MigrateCommand = Pick<Extract<CommandLine, { command: 'migrate' }>, 'to' | 'status'>;

/** The text for standard output. Throws MigrationError. */
export async function runMigrateCommand({ to, status }: MigrateCommand, database: CommandDatabase): Promise<string> {
  return await database.postgres.withSession(async (session) => {
    if (status) return formatStates(await migrationStates(session));
    const { applied, reverted, version } = await migrate(session, to === undefined ? {} : { to });
    const steps = [
      ...(reverted.length === 0 ? [] : [`took back ${reverted.join(', ')}`]),
      ...(applied.length === 0 ? [] : [`applied ${applied.join(', ')}`]),
    ];
    const done = steps.length === 0 ? 'Nothing to do' : `${steps.join('; ')}`;
    return `${done[0]?.toUpperCase()}${done.slice(1)}: the database is at version ${version}.\n`;
  });
}

function formatStates(states: readonly MigrationState[]): string {
  const width = Math.max(...states.map(({ name }) => name.length));
  const lines = states.map(({ version, name, appliedAtMs, reversible }) => {
    const when = appliedAtMs === undefined ? 'not applied' : `applied ${new Date(appliedAtMs).toISOString()}`;
    return `  ${String(version).padStart(4, '0')}  ${name.padEnd(width)}  ${when}${reversible ? '' : ', cannot be taken back'}`;
  });
  return `${lines.join('\n')}\n`;
}
