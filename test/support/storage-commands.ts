// The commands of the model-based test of storage (test/integration/storage-model.test.ts): each does one thing to a
// real storage actor on a real database and to the model, and then both must agree.

import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import type { JobState } from '../../actors/job.ts';
import type { CommitReply, LedgerDelta, LedgerKind } from '../../actors/storage/contract.ts';
import { collectResults, type FinishedJob } from '../../actors/storage/done-runs.ts';
import { JobRowWriter } from '../../actors/storage/job-row.ts';
import { agree, type RealStorage } from './real-storage.ts';
import { statusOf } from './storage-fixture.ts';
import { keyOf, type ModelJob, type Place, type StorageModel } from './storage-model.ts';

export type StorageCommand = fc.AsyncCommand<StorageModel, RealStorage>;

export const places: readonly Place[] = [
  { queue: 'gw', partition: 'a' },
  { queue: 'gw', partition: 'b' },
  { queue: 'rt', partition: 'x' },
  { queue: 'rt', partition: 'y' },
];

function rowsOf(jobs: readonly ModelJob[], real: RealStorage) {
  const writer = new JobRowWriter(256);
  for (const { partition, messageId, parent } of jobs) {
    const parentId = parent === undefined ? 0 : real.jobId(parent);
    const row = { jobId: 0, parentId, partition, userId: 'u', messageId, receivedAtMs: 1_790_000_000_000 };
    writer.append({ ...row, parameters: '{}' }, ['{}']);
  }
  return writer.take();
}

function ledgerOf(kind: LedgerKind, count: number): LedgerDelta[] {
  return count === 0 ? [] : [{ minute: 29_833_333, sourceId: 's', destinationId: '', kind, count }];
}

/** Several senders at once: their commits form groups. */
class Store implements StorageCommand {
  readonly #commits: readonly (readonly Place[])[];
  readonly #cut: boolean;

  constructor(commits: readonly (readonly Place[])[], cut: boolean) {
    this.#commits = commits;
    this.#cut = cut;
  }

  check(): boolean {
    return true;
  }

  async run(model: StorageModel, real: RealStorage): Promise<void> {
    const commits = this.#commits.map((one) => one.map((place) => model.newJob(place)));
    const replies = commits.map((jobs) => {
      const queues = [...new Set(jobs.map((job) => job.queue))];
      const stored = queues.map((queue) => ({
        queue,
        ...rowsOf(
          jobs.filter((job) => job.queue === queue),
          real,
        ),
      }));
      return real.fixture.commit({ jobs: stored, ledger: ledgerOf('accepted', jobs.length) });
    });
    if (this.#cut) await real.kill();
    for (const reply of await Promise.all(replies)) assert.deepEqual(reply, { kind: 'committed' });
    model.store(commits.flat());
    await agree(model, real);
  }

  toString(): string {
    return `store(${this.#commits.map((one) => one.map(keyOf).join('+')).join(' | ')}${this.#cut ? ', cut' : ''})`;
  }
}

class Open implements StorageCommand {
  readonly #place: Place;
  readonly #slots: number;

  constructor(place: Place, slots: number) {
    this.#place = place;
    this.#slots = slots;
  }

  check(): boolean {
    return true;
  }

  async run(model: StorageModel, real: RealStorage): Promise<void> {
    real.fixture.open(this.#place.queue, this.#place.partition, this.#slots);
    model.open(this.#place);
    model.pull(this.#place, this.#slots);
    await agree(model, real);
  }

  toString(): string {
    return `open(${keyOf(this.#place)}, ${this.#slots})`;
  }
}

class Pull implements StorageCommand {
  readonly #place: Place;
  readonly #slots: number;

  constructor(place: Place, slots: number) {
    this.#place = place;
    this.#slots = slots;
  }

  check(model: Readonly<StorageModel>): boolean {
    return model.isOpen(this.#place);
  }

  async run(model: StorageModel, real: RealStorage): Promise<void> {
    real.fixture.pull(this.#place.queue, this.#place.partition, this.#slots);
    model.pull(this.#place, this.#slots);
    await agree(model, real);
  }

  toString(): string {
    return `pull(${keyOf(this.#place)}, ${this.#slots})`;
  }
}

type Outcome = JobState | 'keep';
/** maintained: a round of maintenance goes on at the same time. */
type Fate = 'answered' | 'maintained' | 'stale' | 'fenced';

/** Results for what a session holds; a `gw` job that succeeds makes an `rt` job in the same commit. */
class Report implements StorageCommand {
  readonly #place: Place;
  readonly #outcomes: readonly Outcome[];
  readonly #fate: Fate;

  constructor(place: Place, outcomes: readonly Outcome[], fate: Fate) {
    this.#place = place;
    this.#outcomes = outcomes;
    this.#fate = fate;
  }

  check(model: Readonly<StorageModel>): boolean {
    return model.held(this.#place).length > 0;
  }

  async run(model: StorageModel, real: RealStorage): Promise<void> {
    const results = model.held(this.#place).flatMap((job, index) => {
      const state = this.#outcomes[index % this.#outcomes.length] ?? 'keep';
      return state === 'keep' ? [] : [{ job, state, code: state === 'succeeded' ? 200 : 500 + index }];
    });
    const children = results.flatMap(({ job, state }) =>
      job.queue === 'gw' && state === 'succeeded' ? [model.newJob({ queue: 'rt', partition: 'x' }, job)] : [],
    );
    const commit = this.#commit(real, results, children);
    if (this.#fate === 'stale') {
      real.fixture.open(this.#place.queue, this.#place.partition, 1);
      model.open(this.#place);
      model.pull(this.#place, 1);
      assert.deepEqual(await commit(), { kind: 'stale' });
    } else if (this.#fate === 'fenced') await this.#loseLane(model, real, commit);
    else {
      const round = this.#fate === 'maintained' ? real.maintain() : undefined;
      assert.deepEqual(await commit(), { kind: 'committed' });
      await round;
      model.report(results);
      model.store(children);
    }
    await agree(model, real);
  }

  /** Another process has taken the lane over: nothing of the commit is kept. */
  async #loseLane(model: StorageModel, real: RealStorage, commit: () => Promise<CommitReply>): Promise<void> {
    await real.database.open({ poolMax: 1 }).query('update sluice_lanes set epoch = epoch + 1');
    const lost = assert.rejects(commit());
    await real.restart();
    await lost;
    model.restart();
  }

  #commit(
    real: RealStorage,
    results: readonly { job: ModelJob; state: JobState; code: number }[],
    children: readonly ModelJob[],
  ): () => Promise<CommitReply> {
    const byMessage = new Map(real.handed(this.#place).map((one) => [one.messageId, one.finished]));
    const finished = results.map(({ job, state, code }): FinishedJob => {
      const known = byMessage.get(job.messageId);
      assert.ok(known, `expected ${job.messageId} to be handed out`);
      const attempt = job.attempts + (state === 'waiting' ? 0 : 1);
      // Every other success is told explicitly, as a router does that has an answer to keep.
      const plain = state === 'succeeded' && known.jobId % 2 === 0;
      return {
        ...known,
        status: plain ? undefined : statusOf(known.jobId, { state, attempt, code, execTimeMs: real.nextMs() }),
      };
    });
    const { queue, partition } = this.#place;
    const done = real.fixture.results(queue, partition, collectResults(finished));
    const ends = results.filter(({ state }) => state === 'succeeded').length;
    const aborted = results.filter(({ state }) => state === 'aborted' || state === 'filtered').length;
    const jobs = children.length === 0 ? [] : [{ queue: 'rt' as const, ...rowsOf(children, real) }];
    const ledger = [...ledgerOf('processed', ends), ...ledgerOf('aborted', aborted)];
    return () => real.fixture.commit({ jobs, results: [done], ledger });
  }

  toString(): string {
    return `report(${keyOf(this.#place)}, ${this.#outcomes.join(' ')}, ${this.#fate})`;
  }
}

class Close implements StorageCommand {
  readonly #place: Place;

  constructor(place: Place) {
    this.#place = place;
  }

  check(model: Readonly<StorageModel>): boolean {
    return model.isOpen(this.#place);
  }

  async run(model: StorageModel, real: RealStorage): Promise<void> {
    const { queue, partition } = this.#place;
    real.fixture.close(queue, partition);
    model.close(this.#place);
    await agree(model, real);
  }

  toString(): string {
    return `close(${keyOf(this.#place)})`;
  }
}

class Restart implements StorageCommand {
  check(): boolean {
    return true;
  }

  async run(model: StorageModel, real: RealStorage): Promise<void> {
    await real.restart();
    model.restart();
    await agree(model, real);
  }

  toString(): string {
    return 'restart';
  }
}

class Maintain implements StorageCommand {
  readonly #cut: boolean;

  constructor(cut: boolean) {
    this.#cut = cut;
  }

  check(): boolean {
    return true;
  }

  async run(model: StorageModel, real: RealStorage): Promise<void> {
    await real.maintain(this.#cut);
    await agree(model, real);
  }

  toString(): string {
    return this.#cut ? 'maintain(cut)' : 'maintain';
  }
}

const place = fc.constantFrom(...places);
const slots = fc.integer({ min: 1, max: 12 });
const outcome = fc.constantFrom<Outcome>(
  'succeeded',
  'succeeded',
  'succeeded',
  'failed',
  'aborted',
  'waiting',
  'filtered',
  'keep',
);
const commits = fc.array(fc.array(place, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 3 });
const fate = fc.oneof(
  { weight: 5, arbitrary: fc.constant<Fate>('answered') },
  { weight: 3, arbitrary: fc.constant<Fate>('maintained') },
  { weight: 1, arbitrary: fc.constantFrom<Fate>('stale', 'fenced') },
);

/** Repeated by weight: most steps move jobs, some break things. */
export const storageCommands: fc.Arbitrary<StorageCommand>[] = [
  ...[1, 2, 3].map(() => fc.tuple(commits, fc.constant(false)).map((args) => new Store(...args))),
  fc.tuple(commits, fc.boolean()).map((args) => new Store(...args)),
  ...[1, 2].map(() => fc.tuple(place, slots).map((args) => new Open(...args))),
  ...[1, 2].map(() => fc.tuple(place, slots).map((args) => new Pull(...args))),
  ...[1, 2, 3, 4].map(() =>
    fc.tuple(place, fc.array(outcome, { minLength: 1, maxLength: 5 }), fate).map((args) => new Report(...args)),
  ),
  place.map((one) => new Close(one)),
  fc.constant(new Restart()),
  ...[false, false, true].map((cut) => fc.constant(new Maintain(cut))),
];
