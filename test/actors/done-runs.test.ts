// The compact form of success makes a claim about ids nobody listed: here it is held against a model of a partition.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { JobStatus } from '../../actors/storage/contract.ts';
import { collectResults, type FinishedJob, predecessorOf } from '../../actors/storage/done-runs.ts';

function statusOf(jobId: number): JobStatus {
  return {
    jobId,
    state: 'failed',
    attempt: 1,
    code: 500,
    response: '{}',
    execTimeMs: 1,
    retryTimeMs: 2,
    firstAttemptedAtMs: 1,
  };
}

type Fate = 'succeeded' | 'told' | 'unfinished';

interface Handed {
  jobId: number;
  afterId: number;
  fate: Fate;
}

/** A partition's jobs in id order: gaps belong to other partitions; the first few came again one by one. */
const partition = fc
  .record({
    firstAfter: fc.nat(20),
    again: fc.nat(5),
    jobs: fc.array(
      fc.record({
        gap: fc.integer({ min: 1, max: 4 }),
        fate: fc.constantFrom<Fate>('succeeded', 'told', 'unfinished'),
      }),
      {
        maxLength: 40,
      },
    ),
  })
  .map(({ firstAfter, again, jobs }): Handed[] => {
    let previousId = firstAfter;
    return jobs.map(({ gap, fate }, index) => {
      const jobId = previousId + gap;
      const afterId = predecessorOf(jobId, index < again ? -1 : previousId);
      previousId = jobId;
      return { jobId, afterId, fate };
    });
  });

function finishedOf(handed: readonly Handed[]): FinishedJob[] {
  return handed
    .filter(({ fate }) => fate !== 'unfinished')
    .map(({ jobId, afterId, fate }) => ({ jobId, afterId, status: fate === 'told' ? statusOf(jobId) : undefined }));
}

test('the runs list exactly the plain successes and the statuses exactly the rest', () => {
  fc.assert(
    fc.property(partition, (handed) => {
      const { runs, statuses } = collectResults(finishedOf(handed));
      const listed = runs.flatMap((run) => run.jobIds);
      assert.deepEqual(
        listed,
        handed.filter(({ fate }) => fate === 'succeeded').map(({ jobId }) => jobId),
      );
      assert.deepEqual(
        statuses.map(({ jobId }) => jobId),
        handed.filter(({ fate }) => fate === 'told').map(({ jobId }) => jobId),
      );
    }),
  );
});

test('no run ever claims an id of the partition that it does not list', () => {
  fc.assert(
    fc.property(partition, (handed) => {
      for (const { afterId, jobIds } of collectResults(finishedOf(handed)).runs) {
        const last = jobIds.at(-1) ?? afterId;
        const claimed = handed.map(({ jobId }) => jobId).filter((jobId) => jobId > afterId && jobId <= last);
        assert.deepEqual(claimed, jobIds);
      }
    }),
  );
});

test('the order in which jobs finish changes nothing', () => {
  fc.assert(
    fc.property(
      partition.chain((handed) => {
        const finished = finishedOf(handed);
        const shuffled = fc.shuffledSubarray(finished, { minLength: finished.length, maxLength: finished.length });
        return fc.tuple(fc.constant(finished), shuffled);
      }),
      ([finished, shuffled]) => {
        assert.deepEqual(collectResults(shuffled).runs, collectResults(finished).runs);
      },
    ),
  );
});

test('neighbours that simply succeeded become one run', () => {
  const finished = [5, 9, 12].map((jobId, index, ids) => ({ jobId, afterId: ids[index - 1] ?? 3, status: undefined }));
  assert.deepEqual(collectResults(finished).runs, [{ afterId: 3, jobIds: [5, 9, 12] }]);
});

test('a job that was handed out again claims nothing but itself', () => {
  assert.equal(predecessorOf(17, -1), 16);
  assert.equal(predecessorOf(17, 4), 4);
});
