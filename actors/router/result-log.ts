// Results on their way into the database: what ended while a commit is in flight goes together in the next one, so that
// statuses are batched without a timer. One commit at a time; a result leaves only when it is known to be stored.
//
//   recorded --commit--> committing --committed--> gone
//                          |  ^------ behind, refused (without the answers' texts) --- recorded again
//                          \--lost--> handed back with `takeUncertain`

import { isTerminal } from '../job.ts';
import type { DeliveredJob, DeliveryObserver } from '../reporting/contract.ts';
import { collectResults, type FinishedJob } from '../storage/done-runs.ts';
import { jobRunOf, LedgerTally } from '../storage/ledger-tally.ts';
import type { CommitSettled, PartitionSession, Results } from '../storage/partition-session.ts';
import type { RouterMessage } from './contract.ts';
import { type Recorded, type RoutedJob, redact, type Settled } from './routed-job.ts';

export type LogVerdict =
  | { kind: 'committed'; recorded: readonly Recorded[] }
  /** The session is gone. */
  | { kind: 'lost' }
  | { kind: 'kept' };

export class ResultLog {
  readonly #session: PartitionSession<RouterMessage>;
  readonly #observer: DeliveryObserver | undefined;
  /** Waits for the commit in flight to end. */
  #recorded: Recorded[] = [];
  #committing: { ticket: number; recorded: Recorded[] } | undefined;

  constructor(session: PartitionSession<RouterMessage>, observer: DeliveryObserver | undefined) {
    this.#session = session;
    this.#observer = observer;
  }

  get isEmpty(): boolean {
    return this.#recorded.length === 0;
  }

  record(routed: RoutedJob, settled: Settled): void {
    routed.phase = 'settled';
    this.#recorded.push({ routed, settled });
  }

  commit(): void {
    if (this.#recorded.length === 0 || this.#committing !== undefined || !this.#session.isOpen) return;
    const recorded = this.#recorded;
    this.#recorded = [];
    this.#committing = { ticket: this.#session.commit(resultsOf(recorded, this.#observer)), recorded };
  }

  /** For onStop, where no answer arrives any more: what is recorded is stored, or done again by the next actor. */
  async finish(): Promise<void> {
    await this.#session.settled();
    if (this.#recorded.length > 0 && this.#session.isOpen) {
      await this.#session.commitAndWait(resultsOf(this.#recorded, this.#observer));
    }
  }

  settle(message: CommitSettled): LogVerdict {
    const verdict = this.#session.settle(message);
    if (verdict === 'lost') return { kind: 'lost' };
    const { ticket, recorded } = this.#committing ?? { ticket: 0, recorded: [] };
    if (ticket !== message.ticket) return { kind: 'kept' };
    this.#committing = undefined;
    if (verdict === 'committed') return { kind: 'committed', recorded };
    // It has one commit under way at a time, so there is none to be behind; what was not tried is tried again.
    if (verdict === 'behind') this.#recorded = [...recorded, ...this.#recorded];
    else if (!this.#redact(recorded)) return { kind: 'lost' };
    return { kind: 'kept' };
  }

  /** All that may not have been stored; it is not kept here any more. */
  takeUncertain(): Recorded[] {
    const uncertain = [...(this.#committing?.recorded ?? []), ...this.#recorded];
    this.#committing = undefined;
    this.#recorded = [];
    return uncertain;
  }

  /** Only the answer's text can be what Postgres refuses: everything else in a status is ours. */
  #redact(recorded: readonly Recorded[]): boolean {
    const redacted = redact(recorded);
    this.#recorded = [...(redacted ?? recorded), ...this.#recorded];
    if (redacted === undefined) this.#session.lose('storage refuses plain statuses');
    return redacted !== undefined;
  }
}

/** What a commit says about these jobs: runs, statuses, the ledger's share of those that ended, and what is reported. */
function resultsOf(recorded: readonly Recorded[], observer: DeliveryObserver | undefined): Results {
  const ledger = new LedgerTally();
  const jobs: FinishedJob[] = [];
  for (const { routed, settled } of recorded) {
    const { job, afterId, parameters, lane } = routed;
    jobs.push({ jobId: job.jobId, afterId, status: settled.status });
    const state = settled.status?.state ?? 'succeeded';
    if (!isTerminal(state)) continue;
    const kind = state === 'succeeded' ? 'delivered' : state;
    const code = settled.status?.code ?? 0;
    ledger.add(job.receivedAtMs, parameters?.source_id ?? '', lane.destinationId, kind, jobRunOf(parameters), code);
  }
  const results = { jobs: [], ...collectResults(jobs), ledger: ledger.take(), ...ledger.takeJobRuns() };
  if (observer?.isWanted !== true) return results;
  return { ...results, observations: observer.observe(recorded.map(deliveredJob)) };
}

function deliveredJob({ routed, settled }: Recorded): DeliveredJob {
  const { job, parameters, lane } = routed;
  const { receivedAtMs, payload } = job;
  return { parameters, destinationId: lane.destinationId, receivedAtMs, payload, status: settled.status };
}
