// Turns finished jobs into the compact form the storage actor wants: runs of plain successes, and explicit statuses.
// Success is by far the most common end of a job, so it is the one that must cost next to nothing to write: a run of
// a thousand neighbours is one row. The price is a claim about ids nobody listed (contract.ts, DoneRun), and this
// file is the only place that makes it.
//
// The claim rests on one fact per job: the id handed out just before it in its partition. A job that was handed out
// again (afterId -1) has no such neighbour, so it claims nothing but itself: its predecessor is `jobId - 1`.

import type { DoneRun, JobStatus } from './contract.ts';

export interface FinishedJob {
  jobId: number;
  /** From `predecessorOf`. */
  afterId: number;
  /** Undefined: it simply succeeded. */
  status: JobStatus | undefined;
}

/** The id that a run beginning with this job may claim to come after. */
export function predecessorOf(jobId: number, handedAfterId: number): number {
  return handedAfterId < 0 ? jobId - 1 : handedAfterId;
}

/** `finished` in any order, every job once. Runs come out ascending, statuses in the order of `finished`. */
export function collectResults(finished: readonly FinishedJob[]): { runs: DoneRun[]; statuses: JobStatus[] } {
  const runs: DoneRun[] = [];
  const statuses: JobStatus[] = [];
  let run: DoneRun | undefined;
  let lastId = -1;
  for (const job of inIdOrder(finished)) {
    if (job.status !== undefined) continue;
    // Only the direct neighbour of the last one may join: anything between them is not known to be finished.
    if (run !== undefined && job.afterId === lastId) run.jobIds.push(job.jobId);
    else {
      run = { afterId: job.afterId, jobIds: [job.jobId] };
      runs.push(run);
    }
    lastId = job.jobId;
  }
  for (const job of finished) if (job.status !== undefined) statuses.push(job.status);
  return { runs, statuses };
}

/** Jobs are handed out in id order and mostly finish so: sorting is the exception. */
function inIdOrder(finished: readonly FinishedJob[]): readonly FinishedJob[] {
  for (let index = 1; index < finished.length; index += 1) {
    const previous = finished[index - 1];
    const current = finished[index];
    if (previous !== undefined && current !== undefined && current.jobId < previous.jobId) {
      return finished.toSorted((a, b) => a.jobId - b.jobId);
    }
  }
  return finished;
}
