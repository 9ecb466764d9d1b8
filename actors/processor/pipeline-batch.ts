// What a run of the pipeline over some jobs made: rows of jobs, statuses and counts that go into one commit.

import { visitorOf } from '../isolation.ts';
import type { Job, QueueName } from '../job.ts';
import type { ObservationCollector } from '../observations/contract.ts';
import type { EndedStatus, JobStatus, StoredJobs } from '../storage/contract.ts';
import { collectResults, type FinishedJob } from '../storage/done-runs.ts';
import { JobRowWriter } from '../storage/job-row.ts';
import { jobRunOf, LedgerTally } from '../storage/ledger-tally.ts';
import type { HandedJob, Results } from '../storage/partition-session.ts';
import { deadLetterOf, type Moment } from './dead-letter.ts';
import { DedupClaims } from './dedup-claims.ts';
import { readParameters } from './event-text.ts';
import type { CommitAdditions, Ending, Outcome } from './stage.ts';

const additionBytesExpected = 4096;

export class PipelineBatch implements CommitAdditions {
  readonly jobs: HandedJob[] = [];
  /** Message ids of its events. */
  readonly claims = new DedupClaims();
  readonly #finished: FinishedJob[] = [];
  readonly #ledger = new LedgerTally();
  readonly #rows: JobRowWriter;
  /** Of queues other than `rt`; nearly always none. */
  #additions: Map<QueueName, JobRowWriter> | undefined;
  /** Of the jobs for the queue `err`. */
  #endings: EndedStatus[] = [];
  /** By what made them; nearly always none. */
  #collectors: Map<() => ObservationCollector, ObservationCollector> | undefined;

  constructor(bytesExpected: number) {
    this.#rows = new JobRowWriter(bytesExpected);
  }

  get byteLength(): number {
    let bytes = this.#rows.byteLength;
    if (this.#additions !== undefined) for (const rows of this.#additions.values()) bytes += rows.byteLength;
    return bytes;
  }

  add(queue: QueueName, job: Omit<Job, 'payload'>, body: readonly Uint8Array[]): void {
    this.#additions ??= new Map();
    let rows = this.#additions.get(queue);
    if (rows === undefined) {
      rows = new JobRowWriter(additionBytesExpected);
      this.#additions.set(queue, rows);
    }
    rows.append(job, body);
  }

  collect<Collector extends ObservationCollector>(make: () => Collector): Collector {
    this.#collectors ??= new Map();
    let collector = this.#collectors.get(make);
    if (collector === undefined) {
      collector = make();
      this.#collectors.set(make, collector);
    }
    // Under `make` there is only what it made.
    return collector as Collector;
  }

  /** An event that was processed: its rows, and what became of it for every destination. When it throws, it did nothing. */
  succeed(outcome: Outcome, { nowMs, configVersion }: Moment): void {
    this.#writeRows(outcome, { nowMs, configVersion });
    const { inHand, run, routed, filtered, aborted } = outcome;
    const { handed, source } = inHand;
    const { job, afterId } = handed;
    const { receivedAtMs } = job;
    for (const { route } of routed) this.#ledger.add(receivedAtMs, source.id, route.destinationId, 'routed', run);
    for (const { destinationId } of filtered) {
      this.#ledger.add(receivedAtMs, source.id, destinationId, 'routed', run);
      this.#ledger.add(receivedAtMs, source.id, destinationId, 'filtered', run);
    }
    for (const { destinationId, code } of aborted) {
      this.#ledger.add(receivedAtMs, source.id, destinationId, 'routed', run);
      this.#ledger.add(receivedAtMs, source.id, destinationId, 'aborted', run, code);
    }
    this.#ledger.add(receivedAtMs, source.id, '', 'processed', run);
    this.jobs.push(handed);
    const told = {
      aborted: aborted.map(({ destinationId, code, reason, stage }) => ({ destinationId, code, reason, stage })),
      configVersion,
    };
    const status = aborted.length === 0 ? undefined : statusOf(job, 'succeeded', 200, told, nowMs);
    this.#finished.push({ jobId: job.jobId, afterId, status });
  }

  /** An event that goes nowhere. */
  end(
    handed: HandedJob,
    sourceId: string,
    { kind, code, reason, stage }: Ending,
    { nowMs, configVersion }: Moment,
  ): void {
    const { job, afterId } = handed;
    this.#ledger.add(job.receivedAtMs, sourceId, '', kind, jobRunOf(readParameters(job.parameters)), code);
    this.jobs.push(handed);
    const told = kind === 'deduplicated' ? { reason } : { reason, stage, configVersion };
    const status = statusOf(job, kind === 'aborted' ? 'aborted' : 'filtered', code, told, nowMs);
    this.#finished.push({ jobId: job.jobId, afterId, status });
  }

  /** All rows of an event or none: a half must not go with its neighbours. */
  #writeRows({ inHand, routed, aborted }: Outcome, moment: Moment): void {
    const { userId, messageId, receivedAtMs, jobId } = inHand.handed.job;
    const parentId = inHand.parameters.retry?.of ?? jobId;
    const { count, byteLength } = this.#rows;
    try {
      for (const { route, parameters, body } of routed) {
        const { shards } = route;
        const partition = shards.isSplit ? shards.keyOf(visitorOf(userId)) : shards.partition;
        this.#rows.append({ jobId: 0, parentId, partition, userId, messageId, receivedAtMs, parameters }, body);
      }
      const letters = aborted.map((ending) => deadLetterOf(inHand, ending, moment));
      for (const { row, body, ended } of letters) {
        this.add('err', row, body);
        this.#endings.push(ended);
      }
    } catch (error) {
      this.#rows.cutBack({ count, byteLength });
      throw error;
    }
  }

  /** Everything for the commit; the batch keeps only the jobs, in case it must be done again. */
  takeResults(): Results {
    const jobs: StoredJobs[] = [];
    if (this.#rows.count > 0) jobs.push({ queue: 'rt', ...this.#rows.take() });
    for (const [queue, rows] of this.#additions ?? []) {
      jobs.push({ queue, ...rows.take(), ...(queue === 'err' ? { ended: this.#endings } : {}) });
    }
    this.#additions = undefined;
    this.#endings = [];
    return {
      jobs,
      ...collectResults(this.#finished),
      ledger: this.#ledger.take(),
      ...this.#ledger.takeJobRuns(),
      seen: this.claims.rows(),
      observations: [...(this.#collectors?.values() ?? [])].flatMap((collector) => collector.take()),
    };
  }
}

function statusOf(
  job: Job,
  state: JobStatus['state'],
  code: number,
  response: Record<string, unknown>,
  nowMs: number,
): JobStatus {
  return {
    jobId: job.jobId,
    state,
    attempt: 1,
    code,
    response: JSON.stringify(response),
    execTimeMs: nowMs,
    retryTimeMs: 0,
    firstAttemptedAtMs: nowMs,
  };
}
