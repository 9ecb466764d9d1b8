// Model-based test of storage: random scripts of stores, hand-outs, results, lost connections, lost lanes, restarts and
// maintenance, with datasets so small that they roll, move and go all the time, on the real thing and on a model.
// Every job is handed out in order, to one session at a time, nothing is lost, nothing that ended comes again.

import { strict as assert } from 'node:assert';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { findJobs } from '../../actors/storage/job-lookup.ts';
import { testDatabase } from '../support/database.ts';
import { agree, RealStorage } from '../support/real-storage.ts';
import { places, storageCommands } from '../support/storage-commands.ts';
import { StorageModel } from '../support/storage-model.ts';

const seed = Number(process.env.STORAGE_MODEL_SEED ?? randomInt(2 ** 31));
const runs = Number(process.env.STORAGE_MODEL_RUNS ?? 8);
/** Storage settings below what an operator may choose: everything that happens once a day happens at every step. */
const settings = {
  datasetRowsMax: 8,
  datasetAgeMs: 0,
  residueRowsMax: 20,
  residuePercentMax: 100,
  retentionMs: 0,
  copyRowsMin: 6,
};

test(`storage agrees with its model (seed ${seed})`, async (t) => {
  let residues = 0;
  const property = fc.asyncProperty(
    fc.commands(storageCommands, { maxCommands: 60, size: 'max' }),
    async (commands) => {
      const real = new RealStorage(await testDatabase(t), settings);
      const model = new StorageModel();
      openAll(model, real, 4);
      await fc.asyncModelRun(() => ({ model, real }), commands);
      await finish(model, real);
      await real.fixture.stop();
      residues += real.residues;
    },
  );
  const result = await fc.check(property, { seed, numRuns: runs, interruptAfterTimeLimit: 90_000 });
  const replay = `STORAGE_MODEL_SEED=${seed} node --enable-source-maps --test dist/test/integration/storage-model.test.js`;
  assert.ok(!result.failed, `${fc.defaultReportMessage(result)}\n${String(result.errorInstance)}\nreplay: ${replay}`);
  // Scripts in which no job is ever moved prove nothing about moves.
  assert.ok(residues > 0, `expected jobs to be moved in ${result.numRuns} runs`);
});

function openAll(model: StorageModel, real: RealStorage, slots: number): void {
  for (const place of places) {
    real.fixture.open(place.queue, place.partition, slots);
    model.open(place);
    model.pull(place, slots);
  }
}

/** Whatever is left after a script comes after a restart, and then comes to an end. */
async function finish(model: StorageModel, real: RealStorage): Promise<void> {
  await real.restart();
  model.restart();
  for (let round = 0; round < 2; round += 1) {
    openAll(model, real, 100_000);
    await agree(model, real);
    if (round > 0) continue;
    await findUnfinished(model, real);
    for (const place of model.places()) {
      const jobIds = real.handed(place).map((job) => job.finished.jobId);
      const runs = jobIds.map((jobId) => ({ afterId: jobId - 1, jobIds: [jobId] }));
      const results = [real.fixture.results(place.queue, place.partition, { runs })];
      assert.deepEqual(await real.fixture.commit({ results }), { kind: 'committed' });
      for (const job of model.held(place)) job.end = 'succeeded';
    }
    await real.restart();
    model.restart();
  }
}

/** A few of what is unfinished are each found once, wherever they were moved. */
async function findUnfinished(model: StorageModel, real: RealStorage): Promise<void> {
  const jobs = model.places().flatMap((place) => model.unfinished(place).slice(0, 3));
  await real.database.open({ poolMax: 1 }).withSession(async (session) => {
    for (const { messageId, tried } of jobs) {
      const found = await findJobs(session, { messageId });
      assert.deepEqual(
        found.map(({ state }) => state),
        [tried?.state ?? 'pending'],
        messageId,
      );
    }
  });
}
