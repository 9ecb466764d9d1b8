// The storage engine against bare PostgreSQL and against other job queues on the same server: rows S1 to S6.

import { count, counts, names, rounds, seconds } from './harness/options.ts';
import { defineScenario, type Measurement } from './harness/scenario.ts';
import { openGround, type StorageGround } from './storage/storage-ground.ts';
import { measureBacklog, measureCommit, measureCopy, measureWal } from './storage/storage-parts.ts';
import { measureCycle } from './storage/storage-peers.ts';
import { measureSnapshot } from './storage/storage-snapshot.ts';

const parts: Readonly<Record<string, (ground: StorageGround) => Promise<void>>> = {
  copy: measureCopy,
  cycle: measureCycle,
  backlog: measureBacklog,
  wal: measureWal,
  snapshot: measureSnapshot,
  commit: measureCommit,
};

export const storage = defineScenario({
  name: 'storage',
  question: 'what storing, handing on and finishing jobs costs, beside bare COPY and other job queues',
  rawLimit: 'binary COPY in a loop, one-row commits: same table, same server',
  peers: ['graphile-worker 0.17.3', 'pg-boss 10.4.2', 'BullMQ 6.7.0'],
  goalRows: ['S1', 'S2', 'S3', 'S4', 'S5', 'S6'],
  options: {
    rounds: rounds(),
    jobs: count(100_000, 'jobs of one measurement'),
    eventBytes: count(1024, 'size of a job’s payload', 1_000_000),
    partitions: count(10, 'partitions the jobs belong to', 100_000),
    groupRows: counts([100, 1000, 5000], 'S1: jobs per group commit', 90_000),
    submissionRows: count(1000, 'jobs per submission, as one frame of the gateway', 100_000),
    window: count(20_000, 'S2: unfinished jobs at most'),
    backlogJobs: count(1_000_000, 'S3: jobs of the backlog'),
    backlogPartitions: count(100, 'S3: partitions of the backlog', 100_000),
    snapshotSeconds: seconds(60, 'S5: how long the old snapshot is held; the design says 600'),
    commits: count(500, 'S6: commits per round, one at a time'),
    parts: names(Object.keys(parts), 'what is measured: S1 copy, S2 cycle, S3 backlog, S4 wal, S5 snapshot, S6 commit'),
  },
  quick: { rounds: 2, jobs: 30_000, backlogJobs: 100_000, snapshotSeconds: 8, commits: 200 },
  async measure(run): Promise<Measurement> {
    const ground = await openGround(run, run.options);
    const { rows } = await ground.postgres.query<{ postgres: string; fsync: string; commit: string }>(
      `select split_part(current_setting('server_version'), ' ', 1) as postgres, current_setting('fsync') as fsync,
       current_setting('synchronous_commit') as commit`,
    );
    for (const part of run.options.parts) await parts[part]?.(ground);
    const { commit, ...server } = rows[0] ?? { postgres: '', fsync: '', commit: '' };
    return { ...ground.result, settings: { ...server, synchronousCommit: commit, peers: ground.peers } };
  },
});
