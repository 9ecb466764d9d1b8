// Model-based test of the hand-off: whatever is stored, opened, pulled, reported, lost and reopened in whatever order,
// every job reaches the session that works on it, in order, once per session, and is finished once.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import type { JobReader, RangeRead } from '../../actors/storage/backlog-reads.ts';
import type { HandedJobs, JobStatus } from '../../actors/storage/contract.ts';
import { HandOff } from '../../actors/storage/hand-off.ts';
import { JobRowWriter, patchJobId, readJobs } from '../../actors/storage/job-row.ts';
import type { Partition, StoredRow } from '../../actors/storage/partition.ts';

const keys = ['a', 'b'];

function row(jobId: number, partition: string): StoredRow {
  const writer = new JobRowWriter(256);
  writer.append(
    {
      jobId: 0,
      parentId: 0,
      partition,
      userId: 'u',
      messageId: `m${jobId}`,
      receivedAtMs: 1_700_000_000_000,
      parameters: '{}',
    },
    [Buffer.from('{}')],
  );
  const bytes = Buffer.from(writer.take().rows);
  patchJobId(bytes, 0, jobId);
  return { jobId, source: bytes, start: 0, byteLength: bytes.byteLength };
}

interface Session {
  id: number;
  handed: Map<number, JobStatus | undefined>;
  lastFresh: number;
}

/** The hand-off with a disk that holds what was stored, and consumers that check what they are handed. */
class World {
  readonly disk = new Map<string, StoredRow[]>();
  readonly finished = new Set<number>();
  readonly sessions = new Map<string, Session>();
  readonly handOff: HandOff;
  failReads = 0;
  refuseHands = 0;
  #nextJobId = 1;
  #nextSession = 1;
  #watermark = 0;
  #now = 0;

  constructor(bytesMax: number) {
    const reader: JobReader = {
      readRanges: async (_queue, ranges, upToId) => this.#read(ranges, upToId),
      readIds: async (_queue, wanted) => {
        this.#mayFail();
        const rows = wanted.flatMap(({ partition, jobIds }) =>
          (this.disk.get(partition) ?? []).filter((one) => jobIds.includes(one.jobId)),
        );
        return new Map(rows.map((one) => [one.jobId, one]));
      },
    };
    this.handOff = new HandOff({
      reader,
      hand: (_queue, partition, message) => this.#hand(partition, message),
      wake: () => undefined,
      watermark: () => this.#watermark,
      nowMs: () => this.#now,
      onReadFailed: () => undefined,
      bytesMax,
      readRowsMax: 7,
      readBytesMax: 2_000,
    });
  }

  store(counts: readonly [string, number][]): void {
    const touched: Partition[] = [];
    const placed: [string, StoredRow][] = [];
    for (const [partition, count] of counts) {
      for (let index = 0; index < count; index += 1) {
        const stored = row(this.#nextJobId, partition);
        this.#nextJobId += 1;
        this.disk.set(partition, [...(this.disk.get(partition) ?? []), stored]);
        placed.push([partition, stored]);
      }
    }
    this.#watermark = this.#nextJobId - 1;
    for (const [partition, stored] of placed) touched.push(this.handOff.stored('gw', partition, stored));
    this.handOff.serve(new Set(touched));
  }

  open(key: string): void {
    const session = { id: this.#nextSession, handed: new Map(), lastFresh: 0 };
    this.#nextSession += 1;
    this.sessions.set(key, session);
    this.handOff.open('gw', key, session.id);
  }

  pull(key: string, slots: number): void {
    const session = this.sessions.get(key);
    if (session !== undefined) this.handOff.pull('gw', key, session.id, slots);
  }

  close(key: string): void {
    const session = this.sessions.get(key);
    if (session === undefined) return;
    this.sessions.delete(key);
    this.handOff.close({ queue: 'gw', partition: key, session: session.id, restUntilMs: 0, isFull: false });
  }

  /** Reports on some handed jobs: succeeded, or failed and kept. The commit may itself fail. */
  report(key: string, count: number, fail: boolean, committed: boolean): void {
    const session = this.sessions.get(key);
    if (session === undefined) return;
    const jobIds = [...session.handed.keys()].slice(0, count);
    const report = this.handOff.beginReport('gw', key, session.id, jobIds);
    assert.ok(report, 'a live session may report on what it was handed');
    const statuses = fail ? jobIds.map((jobId) => failed(jobId)) : [];
    this.handOff.endReport(report, fail ? [] : jobIds, statuses, committed);
    if (!committed || fail) return;
    for (const jobId of jobIds) {
      assert.ok(!this.finished.has(jobId), 'no job is finished twice');
      this.finished.add(jobId);
      session.handed.delete(jobId);
    }
  }

  pass(ms: number): void {
    this.#now += ms;
    this.handOff.sweep();
  }

  unfinished(): number[] {
    return [...this.disk.values()].flat().flatMap((one) => (this.finished.has(one.jobId) ? [] : [one.jobId]));
  }

  #hand(key: string, message: HandedJobs): boolean {
    if (this.refuseHands > 0) {
      this.refuseHands -= 1;
      this.sessions.delete(key);
      return false;
    }
    const session = this.sessions.get(key);
    if (session === undefined || session.id !== message.session) return true;
    const jobs = readJobs(message.rows);
    assert.equal(jobs.length, message.count);
    let after = message.afterId;
    for (const job of jobs) {
      assert.equal(job.partition, key);
      assert.ok(!session.handed.has(job.jobId), 'no job twice in one session');
      assert.ok(!this.finished.has(job.jobId), 'no finished job comes again');
      if (message.afterId >= 0) {
        assert.ok(job.jobId > session.lastFresh, 'fresh jobs come in order');
        const between = (this.disk.get(key) ?? []).filter((one) => one.jobId > after && one.jobId < job.jobId);
        assert.deepEqual(
          between.filter((one) => !this.finished.has(one.jobId) && !session.handed.has(one.jobId)),
          [],
        );
        session.lastFresh = job.jobId;
        after = job.jobId;
      }
      session.handed.set(job.jobId, undefined);
    }
    return true;
  }

  async #read(ranges: readonly RangeRead[], upToId: number): Promise<Map<string, StoredRow[]>> {
    this.#mayFail();
    const found = ranges.map(({ partition, afterId, limit, bytesMax }): [string, StoredRow[]] => {
      const rows = this.disk.get(partition) ?? [];
      const wanted = rows.filter((one) => one.jobId > afterId && one.jobId <= upToId).slice(0, limit);
      let before = 0;
      const fitting = wanted.filter((one) => {
        before += one.byteLength;
        return before - one.byteLength < bytesMax;
      });
      return [partition, fitting];
    });
    await Promise.resolve();
    return new Map(found);
  }

  #mayFail(): void {
    if (this.failReads === 0) return;
    this.failReads -= 1;
    throw new Error('storage is away');
  }
}

function failed(jobId: number): JobStatus {
  return {
    jobId,
    state: 'failed',
    attempt: 1,
    code: 500,
    response: '',
    execTimeMs: 1,
    retryTimeMs: 2,
    firstAttemptedAtMs: 1,
  };
}

type Step = (world: World) => void;

const key = fc.constantFrom(...keys);
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.array(fc.tuple(key, fc.integer({ min: 1, max: 6 })), { minLength: 1, maxLength: 3 }).map(
      (counts): Step =>
        (world) =>
          world.store(counts),
    ),
  },
  {
    weight: 2,
    arbitrary: key.map(
      (one): Step =>
        (world) =>
          world.open(one),
    ),
  },
  {
    weight: 4,
    arbitrary: fc.tuple(key, fc.integer({ min: 1, max: 9 })).map(
      ([one, slots]): Step =>
        (world) =>
          world.pull(one, slots),
    ),
  },
  {
    weight: 4,
    arbitrary: fc.tuple(key, fc.integer({ min: 1, max: 9 }), fc.boolean(), fc.boolean()).map(
      ([one, count, fail, committed]): Step =>
        (world) =>
          world.report(one, count, fail, committed),
    ),
  },
  {
    weight: 1,
    arbitrary: key.map(
      (one): Step =>
        (world) =>
          world.close(one),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constant((world: World) => {
      world.failReads = 1;
    }),
  },
  {
    weight: 1,
    arbitrary: fc.constant((world: World) => {
      world.refuseHands = 1;
    }),
  },
  { weight: 1, arbitrary: fc.constant((world: World) => world.handOff.resume()) },
);

async function settle(): Promise<void> {
  for (let turn = 0; turn < 40; turn += 1) await Promise.resolve();
}

test('every stored job is handed out in order and finished once, whatever happens in between', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.tuple(
          steps,
          fc.nat(3).map((one) => one === 0),
        ),
        { maxLength: 60, size: 'max' },
      ),
      fc.constantFrom(0, 300, 1_000_000),
      async (script, bytesMax) => {
        const world = new World(bytesMax);
        for (const [step, wait] of script) {
          step(world);
          if (wait) await settle();
        }
        world.failReads = 0;
        world.refuseHands = 0;
        // Whoever is still open goes on; everybody else opens. Then all must come to an end.
        for (const one of keys) if (!world.sessions.has(one)) world.open(one);
        for (let round = 0; round < 60 && world.unfinished().length > 0; round += 1) {
          world.handOff.resume();
          for (const one of keys) world.pull(one, 50);
          await settle();
          for (const one of keys) world.report(one, 50, false, true);
          await settle();
        }
        assert.deepEqual(world.unfinished(), []);
        for (const queue of world.handOff.stats()) assert.equal(queue.pending, 0);
        for (const one of keys) world.close(one);
        assert.equal(world.handOff.bytes, 0, 'no memory is held for nothing');
      },
    ),
    { numRuns: 2_000 },
  );
});

test('an open waits for the reports of the former session that are being committed', async () => {
  const world = new World(1_000_000);
  world.store([['a', 3]]);
  world.open('a');
  world.pull('a', 10);
  await settle();
  const former = world.sessions.get('a');
  assert.equal(former?.handed.size, 3);
  const report = world.handOff.beginReport('gw', 'a', former.id, [1, 2]);
  assert.ok(report);
  world.open('a');
  world.pull('a', 10);
  await settle();
  assert.equal(world.sessions.get('a')?.handed.size, 0, 'nothing is handed out before the outcome is known');
  world.handOff.endReport(report, [1, 2], [], true);
  world.finished.add(1).add(2);
  await settle();
  assert.deepEqual([...(world.sessions.get('a')?.handed.keys() ?? [])], [3]);
});

test('a report of an older session is refused', () => {
  const world = new World(1_000_000);
  world.store([['a', 1]]);
  world.open('a');
  world.pull('a', 1);
  const former = world.sessions.get('a');
  world.open('a');
  assert.equal(world.handOff.beginReport('gw', 'a', former?.id ?? 0, [1]), undefined);
});

test('rows committed while a read is under way are not forgotten when they did not fit in memory', async () => {
  const world = new World(0);
  world.open('a');
  world.store([['a', 1]]);
  world.pull('a', 5);
  world.store([['a', 1]]);
  await settle();
  world.pull('a', 5);
  await settle();
  assert.deepEqual([...(world.sessions.get('a')?.handed.keys() ?? [])], [1, 2]);
});
