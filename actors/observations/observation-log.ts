// What commits told beside the main path, for those who read it: gathers it from the tables of the commits, adds equal
// observations of a minute up, and gives every reader its place in the result. Nothing is lost or counted twice: a table
// is added up and emptied in one transaction, under a lock that no commit can be inside of.
//
// observations_0..3 (commits, a minute each) --gather--> sluice_observed --readers, each at its own position--> deleted

import type { Postgres, PostgresSession } from '../../transport/index.ts';
import { type Observation, type ObservationTopic, observationSlot, observationSlots } from './contract.ts';

export interface Observed extends Observation {
  id: number;
  /** Epoch minute of the commit. */
  minute: number;
}

interface ObservedRow {
  id: number;
  topic: ObservationTopic;
  minute: number;
  labels: string;
  count: number;
  sample: string;
  content: Buffer;
}

/** Advisory lock of whoever gathers: one at a time, so that ids become visible in their order. */
const gatherLockClass = 725_140;
/** A commit that began in the last minute is over by then; if it is not, gathering waits a moment for it. */
const minuteGraceMs = 5_000;
const lockTimeoutMs = 2_000;

/** All that is there, gathered or not. */
export const allObservations = [
  'select topic, minute, labels, count, sample, content from sluice_observed',
  ...Array.from(
    { length: observationSlots },
    (_, slot) => `select topic, minute, labels, count, sample, content from sluice_observations_${slot}`,
  ),
].join(' union all ');

export class ObservationLog {
  readonly #postgres: Postgres;
  readonly #nowMs: () => number;
  /** Of this process, among others on the same database. */
  readonly #reader: string;

  constructor(postgres: Postgres, reader: string, nowMs: () => number) {
    this.#postgres = postgres;
    this.#reader = reader;
    this.#nowMs = nowMs;
  }

  get postgres(): Postgres {
    return this.#postgres;
  }

  /** Gathers what commits have written up to the minute before. False: there was nothing. */
  async gather(): Promise<boolean> {
    const filled = await this.#filledSlots();
    for (const slot of filled) {
      await this.#postgres.withSession((session) => inTransaction(session, () => gatherSlot(session, slot)));
    }
    return filled.length > 0;
  }

  /** The oldest of a topic after `position`. */
  async read(topic: ObservationTopic, position: number, limit: number): Promise<Observed[]> {
    return readObserved(this.#postgres, topic, position, limit);
  }

  /**
   * Gives `work` the oldest observations of a topic and forgets them in the same transaction in which `work` wrote what
   * it made of them. Nobody else reads the topic meanwhile. Resolves to how many there were; 0 also when somebody else is
   * at it.
   */
  async consume(
    topic: ObservationTopic,
    limit: number,
    work: (session: PostgresSession, observed: Observed[]) => Promise<void>,
  ): Promise<number> {
    return await this.#postgres.withSession((session) =>
      inTransaction(session, async () => {
        const { rows } = await session.query<{ mine: boolean }>(
          'select pg_try_advisory_xact_lock($1, hashtext($2)) as mine',
          [gatherLockClass, topic],
        );
        if (rows[0]?.mine !== true) return 0;
        const observed = await readObserved(session, topic, 0, limit);
        if (observed.length === 0) return 0;
        await work(session, observed);
        await session.query('delete from sluice_observed where id = any($1::bigint[])', [observed.map(({ id }) => id)]);
        return observed.length;
      }),
    );
  }

  /** Position of a named reader, for as long as `leaseMs`; undefined while another process has it. */
  async lease(name: string, leaseMs: number): Promise<number | undefined> {
    const { rows } = await this.#postgres.query<{ position: number }>(
      `insert into sluice_observation_readers as r (reader, leased_by, leased_until)
         values ($1, $2, now() + make_interval(secs => $3))
       on conflict (reader) do update set leased_by = excluded.leased_by, leased_until = excluded.leased_until
         where r.leased_by = excluded.leased_by or r.leased_until < now()
       returning position`,
      [name, this.#reader, leaseMs / 1000],
    );
    return rows[0]?.position;
  }

  async advance(name: string, position: number): Promise<void> {
    await this.#postgres.query(
      'update sluice_observation_readers set position = $2 where reader = $1 and leased_by = $3 and position < $2',
      [name, position, this.#reader],
    );
  }

  /** Lets another process read on at once. */
  async release(name: string): Promise<void> {
    await this.#postgres.query(
      "update sluice_observation_readers set leased_until = 'epoch' where reader = $1 and leased_by = $2",
      [name, this.#reader],
    );
  }

  async forgetBefore(topic: ObservationTopic, minute: number): Promise<void> {
    await this.#postgres.query('delete from sluice_observed where topic = $1 and minute < $2', [topic, minute]);
  }

  async #filledSlots(): Promise<number[]> {
    const nowMs = this.#nowMs();
    const inUse = new Set([observationSlot(nowMs), observationSlot(nowMs - minuteGraceMs)]);
    const slots = Array.from({ length: observationSlots }, (_, slot) => slot).filter((slot) => !inUse.has(slot));
    const asked = slots.map((slot) => `exists (select from sluice_observations_${slot}) as slot_${slot}`);
    const { rows } = await this.#postgres.query<Record<string, boolean>>(`select ${asked.join(', ')}`);
    return slots.filter((slot) => rows[0]?.[`slot_${slot}`] === true);
  }
}

async function gatherSlot(session: PostgresSession, slot: number): Promise<void> {
  const table = `sluice_observations_${slot}`;
  // The one lock after the other: who waits for the second holds up no commit.
  await session.query(
    `select pg_advisory_xact_lock(${gatherLockClass}, 0);
     set local lock_timeout = ${lockTimeoutMs};
     lock table ${table} in access exclusive mode;
     insert into sluice_observed (topic, minute, labels, count, sample, content)
       select topic, minute, labels, sum(count), max(sample), string_agg(content, ''::bytea)
       from ${table} group by topic, minute, labels order by topic, minute;
     truncate ${table}`,
  );
}

async function readObserved(
  database: Pick<Postgres, 'query'>,
  topic: ObservationTopic,
  position: number,
  limit: number,
): Promise<Observed[]> {
  const { rows } = await database.query<ObservedRow>(
    `select id, topic, minute, labels, count, sample, content from sluice_observed
     where topic = $1 and id > $2 order by id limit $3`,
    [topic, position, limit],
  );
  return rows;
}

async function inTransaction<Value>(session: PostgresSession, work: () => Promise<Value>): Promise<Value> {
  await session.query('begin');
  try {
    const value = await work();
    await session.query('commit');
    return value;
  } catch (error) {
    // A broken session rolls back by itself; the first error is the one that tells why.
    if (session.broken === undefined) await session.query('rollback').catch(() => undefined);
    throw error;
  }
}
