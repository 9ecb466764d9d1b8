// Why a database cannot be brought to the wanted version, for the person who started the program or `sluice migrate`.

export type MigrationCode =
  | 'MIGRATION_CHANGED'
  | 'DATABASE_NEWER'
  | 'MIGRATION_BUSY'
  | 'MIGRATION_ONE_WAY'
  | 'VERSION_UNKNOWN'
  | 'DATABASE_IN_USE'
  | 'MIGRATIONS_UNREADABLE';

export class MigrationError extends Error {
  readonly code: MigrationCode;
  /** One sentence. */
  readonly fix: string;
  /** Only a lock that somebody holds goes away by itself. */
  readonly retryable: boolean;

  constructor(code: MigrationCode, message: string, fix: string) {
    super(message);
    this.name = 'MigrationError';
    this.code = code;
    this.fix = fix;
    this.retryable = code === 'MIGRATION_BUSY' || code === 'DATABASE_IN_USE';
  }
}
