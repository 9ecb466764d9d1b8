// What the admin server tells: the JSON of /status, which the status page shows and others script against. Names end
// in their unit, and the page formats by it: `…AtMs` is a moment, `…Ms` a duration, `…Bytes` a size.

import type { ServerResponse } from 'node:http';
import type { WorkspaceStatus } from '../services/backend-config.ts';
import type { ServiceStatus } from '../services/service-health.ts';
import type { LeaseStats, StorageStats } from '../storage/contract.ts';

export { credentialsOf, isSecret } from './access.ts';

export interface StatusReport {
  program: { version: string; nodeVersion: string; pid: number; startedAtMs: number; nowMs: number };
  ready: boolean;
  /** Why not, when not ready. */
  reasons: ReadinessReason[];
  /** What somebody should look at although events are accepted: a ledger that does not balance, a disk that fills. */
  alarms: Alarm[];
  intake?: IntakeStatus;
  threads: ThreadStatus[];
  /** Over all threads. */
  actors: ActorsStatus;
  /** Actors that failed too often and wait, at most `parkedListedMax`; `actors.parked` counts all. */
  parked: { actor: string; thread: string }[];
  /** Actors that use their thread nearly alone, so that only splitting their partition helps. */
  saturating: { actor: string; thread: string; share: number; remedy: string }[];
  queues: QueueStatus[];
  /** The busiest first, at most `partitionsListedMax`; `partitionsTotal` counts all. */
  partitions: PartitionStatus[];
  partitionsTotal: number;
  /**
   * Sums since the beginning and what is pending now.
   * accepted = processed + deduplicated + suppressed + filtered and aborted at a source + pendingGateway;
   * routed = delivered + filtered + aborted at a destination + pendingRouter.
   */
  ledger: Record<string, number>;
  /** The same by source and destination ('' at the source), storage/contract.ts. */
  ledgerRows: StorageStats['ledger'];
  /** What waits before each stage, from the ledger; most first, at most `partitionsListedMax`. */
  pendingEvents: PendingEvents[];
  /** Which lanes this process owns, and how many processes share them; absent while storage starts anew. */
  lease?: LeaseStats;
  commits?: StorageStats['commits'];
  postgres?: StorageStats['postgres'];
  workspace: WorkspaceStatus;
  /** Services behind the gateway, each of which may be away without stopping it. */
  services: ServiceStatus[];
  /** Those that get nothing at the moment, and why. */
  destinations: DestinationState[];
  /** Newest first. */
  lastErrors: { atMs: number; where: string; text: string }[];
}

/** Events that wait before the processor, by source, or to be delivered, by destination. */
export interface PendingEvents {
  stage: 'processor' | 'router';
  workspaceId: string;
  sourceId: string;
  destinationId: string;
  destinationType: string;
  pending: number;
}

export const partitionsListedMax = 200;
export const parkedListedMax = 100;

export interface ActorsStatus {
  resident: number;
  parked: number;
  /** Restarts of actors since their threads started. */
  restarts: number;
  deadLetters: Record<string, number>;
}

export interface DestinationState {
  /** '' for a drain that is not of one destination. */
  destinationId: string;
  /** `down`: a router found that it does not answer, and probes it. `refused`: as it is configured it gets nothing. */
  state: 'paused' | 'draining' | 'down' | 'refused';
  reason: string;
  sinceAtMs: number;
}

/** Who may send events now. */
export interface IntakeStatus {
  /** `open`, or why nobody may. */
  state: string;
  /** Some of those that may not. */
  workspacesRefused: string[];
  workspacesRefusedTotal: number;
  /** Of the embedded PostgreSQL only. */
  diskLevel?: string;
  diskFreeBytes?: number;
  ballastBytes?: number;
}

export interface Alarm {
  name: string;
  text: string;
}

export interface ReadinessReason {
  probe: string;
  reason: string;
}

export interface ThreadStatus {
  name: string;
  role: string;
  state: string;
  actors: number;
  mailboxMessages: number;
  /** 0 to 1, since the thread started. */
  eventLoopUtilization: number;
  uptimeMs: number;
  restarts: number;
}

export interface QueueStatus {
  queue: string;
  pending: number;
  pendingBytes: number;
  oldestAgeMs: number;
  partitions: number;
}

export interface PartitionStatus {
  queue: string;
  partition: string;
  pending: number;
  handedOut: number;
  behind: boolean;
  open: boolean;
}

/** Something that must be true for events to be accepted and delivered. Asked anew at each request; never latched. */
export interface ReadinessProbe {
  name: string;
  /** Undefined when all is well, else the reason. A rejection or silence is a reason too. */
  check(): string | undefined | Promise<string | undefined>;
}

export interface AdminRequest {
  /** Values of the `:name` segments, decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** The body, at most `bytesMax` (default `adminBodyBytesMax`); a larger one is answered 413 before this resolves. */
  body(bytesMax?: number): Promise<Buffer>;
  /** The same as JSON; what is not JSON is answered 400. `{}` when there is none. */
  json(): Promise<unknown>;
}

export const adminBodyBytesMax = 1024 * 1024;

export type AdminAnswer =
  | { status: number; json: unknown }
  | { status: number; text: string; type: string }
  /** For exports and live streams: the route writes the response itself and ends it. */
  | { stream(response: ServerResponse): void };

/** One path of the admin API. Whoever may reach the admin server may use it (access.ts). */
export interface AdminRoute {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** `/jobs/:id`: `:id` stands for one segment. */
  path: string;
  /** One line for the list of paths. */
  doc: string;
  /** A throw is answered 500 without its text, except AdminError. */
  handle(request: AdminRequest): AdminAnswer | Promise<AdminAnswer>;
}

/** What is wrong with a request, for the one who sent it. */
export class AdminError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'AdminError';
    this.status = status;
  }
}
