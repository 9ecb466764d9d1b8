// What a commit counts besides the jobs in it: entries of the ledger, and of the job runs of reverse ETL. Part of the
// contract (contract.ts), through which other folders see it.

/**
 * What the ledger counts (promise P6), each pair balancing exactly at any moment:
 *   per source (destinationId ''):  accepted = processed + deduplicated + suppressed + filtered + aborted + pending gw
 *   per source and destination:     routed = delivered + filtered + aborted + pending rt/batch_rt jobs
 * `suppressed` events are counted and never stored.
 * `routed` counts every event for every destination connected to its source, also those filtered before a job is made.
 */
export type LedgerKind =
  | 'accepted'
  | 'processed'
  | 'deduplicated'
  | 'suppressed'
  | 'routed'
  | 'delivered'
  | 'filtered'
  | 'aborted';

export interface LedgerDelta {
  /** Epoch minute in which the event was received. */
  minute: number;
  sourceId: string;
  destinationId: string;
  kind: LedgerKind;
  count: number;
}

/** Whose events are counted by job run: reverse ETL asks what became of each of its runs. */
export interface JobRunPlace {
  jobRunId: string;
  taskRunId: string;
  sourceId: string;
  /** '' at the source. */
  destinationId: string;
}

/** in = out + failed once all is done, at the source and at each destination. */
export interface JobRunDelta extends JobRunPlace {
  in: number;
  out: number;
  failed: number;
}

/** A record of a job run that was given up. */
export interface FailedRecord extends JobRunPlace {
  /** JSON text. */
  recordId: string;
  code: number;
}

export interface JobRunReport {
  counts: JobRunDelta[];
  failed: FailedRecord[];
}
