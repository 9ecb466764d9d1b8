// The real half of the model-based test of storage (storage-commands.ts): a storage actor on a real database across
// restarts and cuts, and the comparison of everything that can be seen from outside with the model.

import { strict as assert } from 'node:assert';
import type { LedgerKind } from '../../actors/storage/contract.ts';
import { type FinishedJob, predecessorOf } from '../../actors/storage/done-runs.ts';
import { readJobs } from '../../actors/storage/job-row.ts';
import type { TestDatabase } from './database.ts';
import { within } from './poll.ts';
import { type Consumer, type StorageFixture, storageFixture } from './storage-fixture.ts';
import { keyOf, type ModelJob, type Place, type StorageModel } from './storage-model.ts';

const agreeMs = 20_000;

/** Storage as its clients see it, across restarts. */
export class RealStorage {
  readonly database: TestDatabase;
  readonly #settings: Record<string, number>;
  readonly #jobIds = new Map<string, number>();
  /** Seen after rounds of maintenance. */
  residues = 0;
  #nowMs = 1_790_000_000_000;
  fixture: StorageFixture;

  constructor(database: TestDatabase, settings: Record<string, number>) {
    this.database = database;
    this.#settings = settings;
    this.fixture = storageFixture(database, settings);
  }

  async restart(): Promise<void> {
    await this.fixture.stop();
    this.fixture = storageFixture(this.database, this.#settings);
  }

  /** All that the session was handed, in order, and for each job the id it may claim to come after. */
  handed({ queue, partition }: Place): { messageId: string; finished: FinishedJob }[] {
    const handed: { messageId: string; finished: FinishedJob }[] = [];
    let lastFresh = -1;
    for (const { rows, afterId } of this.fixture.consumer(queue, partition).messages) {
      let previous = afterId < 0 ? -1 : Math.max(afterId, lastFresh);
      for (const { jobId, messageId } of readJobs(rows)) {
        handed.push({ messageId, finished: { jobId, afterId: predecessorOf(jobId, previous), status: undefined } });
        assert.equal(this.#jobIds.get(messageId) ?? jobId, jobId, 'a job keeps its id for life');
        this.#jobIds.set(messageId, jobId);
        if (afterId >= 0) previous = jobId;
      }
      if (afterId >= 0) lastFresh = previous;
    }
    return handed;
  }

  /** Statuses of a job are told apart by their time. */
  nextMs(): number {
    this.#nowMs += 1;
    return this.#nowMs;
  }

  jobId(job: ModelJob): number {
    return this.#jobIds.get(job.messageId) ?? 0;
  }

  /** A round of maintenance; `cut`: its connection, and the lane's, are lost at some moment of it. */
  async maintain(cut = false): Promise<void> {
    const round = this.fixture.maintain();
    if (cut) await this.kill();
    await round;
    if (!cut && (await this.fixture.stats()).maintenance.failure !== '') {
      // A lane whose connection was cut before may still be taking its new epoch; the next round has it.
      await this.fixture.maintain();
      assert.equal((await this.fixture.stats()).maintenance.failure, '');
    }
    const { rows } = await this.database
      .open({ poolMax: 1 })
      .query<{ residues: number }>('select count(*)::int as residues from sluice_datasets where is_residue');
    this.residues += rows[0]?.residues ?? 0;
  }

  async kill(): Promise<void> {
    await this.database
      .open({ poolMax: 1 })
      .query(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name ~ '^sluice (storage|maintenance)'",
      );
  }
}

/** Waits until storage has handed out what the model says, and compares everything that can be seen from outside. */
export async function agree(model: StorageModel, real: RealStorage): Promise<void> {
  for (const place of model.places()) {
    if (!model.isOpen(place)) continue;
    const expected = model.handed(place);
    const { queue, partition } = place;
    const consumer: Consumer = await within(
      () =>
        `${keyOf(place)} to hold ${expected.length} jobs, not ${real.fixture.consumer(queue, partition).handed.length}`,
      agreeMs,
      real.fixture.holds(queue, partition, expected.length),
    );
    assert.deepEqual(
      real.handed(place).map((job) => job.messageId),
      expected.map(([job]) => job.messageId),
      `${keyOf(place)}: every job once, in order`,
    );
    for (const [job, tried] of expected) {
      const told = consumer.statuses.get(real.jobId(job));
      const seen = told && { state: told.state, attempt: told.attempt, code: told.code };
      assert.deepEqual(seen, tried, `${job.messageId}: its last status comes along`);
    }
  }
  const { queues, ledger } = await real.fixture.stats();
  for (const { queue, pending } of queues) {
    const unfinished = model.all().filter((job) => job.queue === queue && job.end === undefined).length;
    assert.equal(pending, unfinished, `pending jobs of ${queue}`);
  }
  const sums = new Map(ledger.map((total): [LedgerKind, number] => [total.kind, total.count]));
  assert.deepEqual(sums, model.ledger, 'the ledger');
}
