// What can go wrong between us and PostgreSQL, classified once, so that nobody above reads SQLSTATEs or error texts.
// Messages never carry row contents: Postgres quotes offending values in `detail`, `where` and, for malformed data,
// at the end of the message itself; those are cut off here, because events must never reach a log.

import { TransportError } from './errors.ts';

/**
 * - connection: the session is gone or the server is not taking requests; open a new session and try again.
 * - deadlock, serialization: the transaction was rolled back for the sake of another one; try it again.
 * - constraint, data: this very data is refused and always will be.
 * - timeout: statement, lock or watchdog time ran out; whether it took effect is unknown unless in a transaction.
 * - fenced: our lease on the partition group is older than somebody else's (`fencedSqlState`).
 * - resource: disk, memory or connections ran out; try again later.
 * - other: a bug of ours, missing rights, a damaged database.
 */
export type PostgresErrorCategory =
  | 'connection'
  | 'deadlock'
  | 'serialization'
  | 'constraint'
  | 'data'
  | 'timeout'
  | 'fenced'
  | 'resource'
  | 'other';

/** SQLSTATE our own SQL raises when a commit carries an old fencing epoch: RAISE … USING ERRCODE = 'SL001'. */
export const fencedSqlState = 'SL001';

const retryableCategories: ReadonlySet<PostgresErrorCategory> = new Set([
  'connection',
  'deadlock',
  'serialization',
  'timeout',
  'resource',
]);

export class PostgresError extends TransportError {
  readonly category: PostgresErrorCategory;
  /** Five characters, or '' when the error did not come from the server. */
  readonly sqlState: string;
  /** Name of the violated constraint, where there is one. */
  readonly constraint: string | undefined;

  constructor(
    category: PostgresErrorCategory,
    message: string,
    details: { sqlState?: string; constraint?: string | undefined; cause?: unknown } = {},
  ) {
    super(`POSTGRES_${category.toUpperCase()}`, message, {
      retryable: retryableCategories.has(category),
      data: { category, sqlState: details.sqlState ?? '' },
      cause: details.cause,
    });
    this.name = 'PostgresError';
    this.category = category;
    this.sqlState = details.sqlState ?? '';
    this.constraint = details.constraint;
  }
}

/** Single codes first; the class (first two characters) decides the rest. */
const categoryByState: Readonly<Record<string, PostgresErrorCategory>> = {
  '40P01': 'deadlock',
  '40003': 'connection',
  '40001': 'serialization',
  '40002': 'constraint',
  '57014': 'timeout',
  '55P03': 'timeout',
  '57P01': 'connection',
  '57P02': 'connection',
  '57P03': 'connection',
  '57P05': 'connection',
  // The server ended a session that idled in a transaction.
  '25P03': 'connection',
  // A standby answered: after a fail-over a new session finds the primary.
  '25006': 'connection',
  // A value too long for an index or a row too large for a page is the data's fault, not the server's.
  '54000': 'data',
  '58030': 'resource',
  [fencedSqlState]: 'fenced',
};

const categoryByClass: Readonly<Record<string, PostgresErrorCategory>> = {
  '08': 'connection',
  '21': 'data',
  '22': 'data',
  '23': 'constraint',
  '53': 'resource',
};

export function categoryOf(sqlState: string): PostgresErrorCategory {
  return categoryByState[sqlState] ?? categoryByClass[sqlState.slice(0, 2)] ?? 'other';
}

/**
 * `connectionLost`: the caller knows that the socket is dead or was never there, which the driver tells by a plain
 * Error without any code.
 */
export function toPostgresError(error: unknown, connectionLost: boolean): PostgresError {
  if (error instanceof PostgresError) return error;
  if (!(error instanceof Error)) return new PostgresError('other', `expected an error, got ${typeof error}`);
  const code = textField(error, 'code');
  const severity = textField(error, 'severity');
  if (severity !== undefined && code !== undefined && code.length === 5) return fromServer(error, severity, code);
  const systemFault = code !== undefined && textField(error, 'syscall') !== undefined;
  const category = connectionLost || systemFault ? 'connection' : 'other';
  const prefix = category === 'connection' ? 'the connection to PostgreSQL failed: ' : '';
  return new PostgresError(category, `${prefix}${error.message}`, { cause: error });
}

/** True when the server ends the session after this error. */
export function endsSession(error: unknown): boolean {
  const severity = error instanceof Error ? textField(error, 'severity') : undefined;
  return severity === 'FATAL' || severity === 'PANIC';
}

function fromServer(error: Error, severity: string, sqlState: string): PostgresError {
  const category = categoryOf(sqlState);
  const text = category === 'data' ? withoutValue(error.message) : error.message;
  const where = [textField(error, 'table'), textField(error, 'column')].filter((part) => part !== undefined).join('.');
  const message = `${severity} ${sqlState}: ${text}${where === '' ? '' : ` (${where})`}`;
  return new PostgresError(category, message, { sqlState, constraint: textField(error, 'constraint') });
}

/** `invalid input syntax for type integer: "secret"` → `invalid input syntax for type integer`. */
function withoutValue(text: string): string {
  const quoted = text.indexOf(': "');
  return quoted < 0 ? text : text.slice(0, quoted);
}

function textField(error: Error, name: string): string | undefined {
  const value: unknown = Reflect.get(error, name);
  return typeof value === 'string' && value !== '' ? value : undefined;
}
