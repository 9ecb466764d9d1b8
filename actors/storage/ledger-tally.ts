// Adds up ledger entries of one commit, so that a batch of a thousand events costs a handful of deltas. Events of a job run
// are counted for their run as well, by the same rules.

import type { FailedRecord, JobRunDelta, JobRunReport, LedgerDelta, LedgerKind } from './contract.ts';

const msPerMinute = 60_000;

/** The job run an event belongs to. */
export interface JobRunOfEvent {
  jobRunId: string;
  taskRunId: string;
  /** JSON text; '' when the event names no record. */
  recordId: string;
}

/** What each entry of the ledger means for a job run. */
const runCounters: Readonly<Record<LedgerKind, 'in' | 'out' | 'failed'>> = {
  accepted: 'in',
  processed: 'out',
  deduplicated: 'out',
  routed: 'in',
  delivered: 'out',
  filtered: 'out',
  suppressed: 'out',
  aborted: 'failed',
};

export class LedgerTally {
  #deltas: LedgerDelta[] = [];
  readonly #byKey = new Map<string, LedgerDelta>();
  #runs: Map<string, JobRunDelta> | undefined;
  #failed: FailedRecord[] = [];

  /** `code` says why an event of a job run was aborted. */
  add(
    receivedAtMs: number,
    sourceId: string,
    destinationId: string,
    kind: LedgerKind,
    run?: JobRunOfEvent,
    code = 0,
  ): void {
    if (run !== undefined) {
      this.#addToRun(run, sourceId, destinationId, kind, 1);
      if (kind === 'aborted' && run.recordId !== '') this.#fail(run, sourceId, destinationId, code);
    }
    this.#count(receivedAtMs, sourceId, destinationId, kind, 1);
  }

  /** What was counted for an event that ends anew. A record that failed stays on its run's list. */
  takeBack(receivedAtMs: number, sourceId: string, destinationId: string, kind: LedgerKind, run?: JobRunOfEvent): void {
    if (run !== undefined) this.#addToRun(run, sourceId, destinationId, kind, -1);
    this.#count(receivedAtMs, sourceId, destinationId, kind, -1);
  }

  #count(receivedAtMs: number, sourceId: string, destinationId: string, kind: LedgerKind, count: number): void {
    const minute = Math.floor(receivedAtMs / msPerMinute);
    // Ids cannot hold U+0000, so it separates them without a doubt.
    const key = `${minute}\0${kind}\0${sourceId}\0${destinationId}`;
    const known = this.#byKey.get(key);
    if (known !== undefined) {
      known.count += count;
      return;
    }
    const delta: LedgerDelta = { minute, sourceId, destinationId, kind, count };
    this.#byKey.set(key, delta);
    this.#deltas.push(delta);
  }

  /** The sums so far; starts anew. */
  take(): LedgerDelta[] {
    const deltas = this.#deltas;
    this.#deltas = [];
    this.#byKey.clear();
    return deltas;
  }

  /** The same by job run, ready to be spread into a commit. */
  takeJobRuns(): { jobRuns?: JobRunReport } {
    if (this.#runs === undefined) return {};
    const jobRuns = { counts: [...this.#runs.values()], failed: this.#failed };
    this.#runs = undefined;
    this.#failed = [];
    return { jobRuns };
  }

  #addToRun(run: JobRunOfEvent, sourceId: string, destinationId: string, kind: LedgerKind, count: number): void {
    const { jobRunId, taskRunId } = run;
    const place = { jobRunId, taskRunId, sourceId, destinationId };
    this.#runs ??= new Map();
    const key = `${jobRunId}\0${taskRunId}\0${sourceId}\0${destinationId}`;
    let delta = this.#runs.get(key);
    if (delta === undefined) {
      delta = { ...place, in: 0, out: 0, failed: 0 };
      this.#runs.set(key, delta);
    }
    delta[runCounters[kind]] += count;
  }

  #fail({ jobRunId, taskRunId, recordId }: JobRunOfEvent, sourceId: string, destinationId: string, code: number): void {
    this.#runs ??= new Map();
    this.#failed.push({ jobRunId, taskRunId, sourceId, destinationId, recordId, code });
  }
}

/** The job run named by job parameters, if any. */
export function jobRunOf(
  parameters:
    | {
        source_job_run_id?: string | undefined;
        source_task_run_id?: string | undefined;
        record_id?: string | undefined;
      }
    | undefined,
): JobRunOfEvent | undefined {
  const jobRunId = parameters?.source_job_run_id;
  if (typeof jobRunId !== 'string' || jobRunId === '') return undefined;
  const { source_task_run_id: task, record_id: record } = parameters ?? {};
  return {
    jobRunId,
    taskRunId: typeof task === 'string' ? task : '',
    recordId: typeof record === 'string' ? record : '',
  };
}
