// What the storage actor tells about itself: queue depths, ledger sums, commit figures, and what the server is.

import type { Metrics } from '../../runtime/index.ts';
import { describeServer, type PostgresSession } from '../../transport/index.ts';
import type { MaintenanceStats, StorageStats } from './contract.ts';
import type { HandOff } from './hand-off.ts';
import type { LedgerTotals } from './ledger.ts';

/** Commit latencies kept for the percentiles of the status page. */
const latenciesKept = 512;
/** Partitions listed in one status answer, those with most pending jobs first. */
const partitionsListedMax = 200;

/** SQLSTATE of a server that has no room. */
const diskFullState = '53100';
/** Longer than a lane pauses between two attempts. */
const diskFullHoldMs = 5_000;

export interface ServerFacts {
  version: string;
  fsync: string;
  synchronousCommit: string;
}

export async function serverFacts(session: PostgresSession): Promise<ServerFacts> {
  const { version, fsync, synchronousCommit } = await describeServer(session);
  return { version, fsync: String(fsync), synchronousCommit: String(synchronousCommit) };
}

export class CommitFigures {
  readonly #latencies: number[] = [];
  readonly #groupsTotal;
  readonly #rowsTotal;
  readonly #bytesTotal;
  readonly #troubleTotal;
  readonly #latencyMs;
  #diskFullAtMs = Number.NEGATIVE_INFINITY;
  groups = 0;
  submissions = 0;
  rows = 0;
  bytes = 0;

  constructor(metrics: Metrics) {
    this.#groupsTotal = metrics.counter('sluice_storage_groups_total', 'Group commits');
    this.#rowsTotal = metrics.counter('sluice_storage_rows_total', 'Rows committed, all tables');
    this.#bytesTotal = metrics.counter('sluice_storage_bytes_total', 'Bytes of rows committed');
    this.#troubleTotal = metrics.counter('sluice_storage_troubles_total', 'Failed attempts to write or read');
    this.#latencyMs = metrics.histogram('sluice_storage_commit_milliseconds', 'From submission to commit');
  }

  committed(latencyMs: number): void {
    this.submissions += 1;
    this.#latencyMs.record(latencyMs);
    this.#latencies[this.submissions % latenciesKept] = latencyMs;
  }

  group(submissions: number, rows: number, bytes: number): void {
    if (submissions === 0) return;
    this.#diskFullAtMs = Number.NEGATIVE_INFINITY;
    this.groups += 1;
    this.rows += rows;
    this.bytes += bytes;
    this.#groupsTotal.add(1);
    this.#rowsTotal.add(rows);
    this.#bytesTotal.add(bytes);
  }

  /** `error` of a commit: a disk without room is remembered until one succeeds. */
  trouble(error?: Error, monotonicMs = 0): void {
    this.#troubleTotal.add(1);
    if (error !== undefined && Reflect.get(error, 'sqlState') === diskFullState) this.#diskFullAtMs = monotonicMs;
  }

  /** For a while only: the attempt that failed may have been the last there was any need for. */
  isDiskFull(monotonicMs: number): boolean {
    return monotonicMs - this.#diskFullAtMs < diskFullHoldMs;
  }

  percentile(share: number): number {
    const sorted = this.#latencies.filter((one) => one !== undefined).sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  }
}

/** While another process owns the lane: it knows the queues. */
export function standbyStats(server: ServerFacts, connected: boolean, figures: CommitFigures): StorageStats {
  return {
    maintenance: { state: 'waiting', failures: 0, failure: '', lastRoundAtMs: 0 },
    queues: [],
    ledger: [],
    ledgerAlarm: '',
    commits: commitsOf(figures),
    postgres: { ...server, connected },
  };
}

export function collectStats(
  running: {
    handOff: HandOff;
    ledger: LedgerTotals;
    lane: { connected: boolean };
    server: ServerFacts;
    maintenance: { stats: MaintenanceStats };
  },
  figures: CommitFigures,
  ledgerAlarm: string,
): StorageStats {
  const queues = running.handOff.stats().map((queue) => ({
    ...queue,
    partitions: queue.partitions.sort((a, b) => b.pending - a.pending).slice(0, partitionsListedMax),
  }));
  return {
    maintenance: running.maintenance.stats,
    queues,
    ledger: running.ledger.all(),
    ledgerAlarm,
    commits: commitsOf(figures),
    postgres: { ...running.server, connected: running.lane.connected },
  };
}

function commitsOf(figures: CommitFigures): StorageStats['commits'] {
  const { groups, submissions, rows, bytes } = figures;
  return { groups, submissions, rows, bytes, p50Ms: figures.percentile(0.5), p99Ms: figures.percentile(0.99) };
}
