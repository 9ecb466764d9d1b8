// The raw limit of storing: one connection, rows that are encoded already, the same table and indexes as the product's,
// and nothing between but the driver: binary COPY in a loop, or one row per commit.

import { createDatasetSql } from '../../actors/storage/datasets.ts';
import { jobColumns, patchJobId, rowOffsets } from '../../actors/storage/job-row.ts';
import type { Cleanup } from '../../test/support/cleanup.ts';
import { openPostgres, type PostgresAddress, type PostgresSession } from '../../transport/index.ts';
import { encodeRows } from './job-frames.ts';

const table = 'gw_jobs_1';

export class BarePostgres {
  readonly #session: PostgresSession;
  #nextJobId = 1;

  private constructor(session: PostgresSession) {
    this.#session = session;
  }

  /** In a database of its own on the same server. */
  static async open(cleanup: Cleanup, address: PostgresAddress): Promise<BarePostgres> {
    const postgres = openPostgres({ address, applicationName: 'raw limit' });
    cleanup.after(() => postgres.close());
    const session = await postgres.session();
    cleanup.after(() => session.close());
    await session.query(createDatasetSql({ lane: 0, queue: 'gw', number: 1 }));
    return new BarePostgres(session);
  }

  /** Rows per second of COPYs of `groupRows` rows each, every one a transaction. */
  async copyRate(jobs: number, groupRows: number, partitions: readonly string[], eventBytes: number): Promise<number> {
    const { rows } = encodeRows(partitions, groupRows, eventBytes);
    const buffer = Buffer.from(rows.buffer, rows.byteOffset, rows.byteLength);
    const offsets = rowOffsets(rows);
    const beganAt = performance.now();
    let copied = 0;
    while (copied < jobs) {
      for (let index = 0; index < groupRows; index += 1) {
        patchJobId(buffer, offsets[index] ?? 0, this.#nextJobId);
        this.#nextJobId += 1;
      }
      await this.#session.copyIn(`copy ${table} (${jobColumns}) from stdin (format binary)`, [buffer]);
      copied += groupRows;
    }
    const rate = (copied / (performance.now() - beganAt)) * 1000;
    await this.#session.query(`truncate ${table}`);
    return rate;
  }

  /** Microseconds of one commit of one row. */
  async commitMicros(payload: Buffer): Promise<number> {
    const beganAt = performance.now();
    await this.#session.prepared({
      name: 'one_row',
      text: `insert into ${table} (${jobColumns}) values ($1, 0, 'raw', '', '', now(), '', $2)`,
      values: [this.#nextJobId, payload],
    });
    this.#nextJobId += 1;
    return (performance.now() - beganAt) * 1000;
  }
}

export async function createDatabase(address: PostgresAddress, name: string): Promise<PostgresAddress> {
  const postgres = openPostgres({ address, applicationName: 'bench set-up', poolMax: 1 });
  try {
    await postgres.query(`create database ${name}`);
  } finally {
    await postgres.close();
  }
  if ('url' in address) throw new Error('expected the benchmark to run on a server of its own');
  return { ...address, database: name };
}
