// Which jobs of a range of ids are unfinished, told from memory: a partition knows every unfinished job that was ever
// handed out, and that all jobs beyond its cursor were not (partition.ts). So a handful of jobs among millions is found
// without reading a status.

import type { JobStatus } from './contract.ts';
import type { Partition } from './partition.ts';

export interface UnfinishedJobs {
  /** Handed out at some time and not finished, with their last status. */
  handedOut: { partition: string; jobId: number; status: JobStatus | undefined }[];
  /** Partitions of which every job after this id is unfinished. */
  waiting: { partition: string; afterId: number }[];
}

export function unfinishedJobs(partitions: Iterable<Partition>, firstId: number, lastId: number): UnfinishedJobs {
  const found: UnfinishedJobs = { handedOut: [], waiting: [] };
  for (const { key, pending, outstanding, cursor, lastStored } of partitions) {
    if (pending === 0) continue;
    for (const [jobId, { status }] of outstanding) {
      if (jobId >= firstId && jobId <= lastId) found.handedOut.push({ partition: key, jobId, status });
    }
    if (lastStored > cursor && cursor < lastId) found.waiting.push({ partition: key, afterId: cursor });
  }
  return found;
}

/** The job's last status, `true` when there is none yet, or undefined when the job is finished. */
export function unfinishedStatus(partition: Partition | undefined, jobId: number): JobStatus | true | undefined {
  if (partition === undefined) return undefined;
  const known = partition.outstanding.get(jobId);
  if (known !== undefined) return known.status ?? true;
  return jobId > partition.cursor ? true : undefined;
}
