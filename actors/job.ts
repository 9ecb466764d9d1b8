// The durable unit of work and its states. One event becomes one `gw` job; the processor turns it into one
// `rt` (or `batch_rt`) job per destination. Everything that moves between stages is a job.

/**
 * Durable queues, named as in the field: gateway → processor, processor → router, processor → batch router, events to
 * archive, events to learn schemas from, and events that failed for good. One that is never used costs nothing.
 */
export const queueNames = ['gw', 'rt', 'batch_rt', 'arc', 'esch', 'err'] as const;
export type QueueName = (typeof queueNames)[number];

/** Kind of the actor that consumes a queue, by queue. Its key is the job's partition. */
export const consumerKinds: Readonly<Record<QueueName, string>> = {
  gw: 'processor',
  rt: 'router',
  batch_rt: 'batch-router',
  arc: 'archiver',
  esch: 'schema-forwarder',
  err: 'error-keeper',
};

/** A job as rows carry it (spec/ingest.md 2.1). Strings never hold U+0000 or lone surrogates (Postgres text refuses them). */
export interface Job {
  /** Assigned by the storage actor before commit; below 2^53. 0 in a row that was not stored yet. */
  jobId: number;
  /** The `gw` job an `rt`/`batch_rt` job came from; 0 in `gw`. */
  parentId: number;
  /** Isolation key: source, workspace or destination id; '' in mode `none`. Never longer than 255 bytes. */
  partition: string;
  /** `<AnonymousId header><<>><anonymousId or userId><<>><userId>`; order is kept per user (orderKeys below). */
  userId: string;
  messageId: string;
  /** Gateway clock, epoch milliseconds. */
  receivedAtMs: number;
  /** JSON text: GatewayParameters in `gw`, RouterParameters in `rt`. */
  parameters: string;
  /** Opaque bytes: the event as JSON in `gw`; the request body in `rt`. */
  payload: Uint8Array;
}

/** `parameters` of a `gw` job. Absent fields are left out of the JSON. */
export interface GatewayParameters {
  source_id: string;
  workspace_id: string;
  request_ip?: string;
  source_job_run_id?: string;
  source_task_run_id?: string;
  /** The only destination the event goes to (reverse ETL). */
  destination_id?: string;
  /** W3C trace context of the HTTP request's span. */
  traceparent?: string;
  /** What an internal request has found out about the sender (spec/ingest.md 1.9). */
  is_bot?: boolean;
  bot_name?: string;
  bot_url?: string;
  /** `drop`, `flag`; anything else: nothing is done about it. */
  bot_action?: string;
  bot_is_invalid_browser?: boolean;
  /** Absent: it has not been given up before. */
  retry?: RetriedEvent;
}

/** An event that was given up, at its source or at `destination_id`, and is tried again. It is nobody's duplicate. */
export interface RetriedEvent {
  /** The `gw` job it was: what becomes of it has the same idempotency keys as before. */
  of: number;
  /** The payload is what customers' code had made of it for the destination, and this its number among the copies. */
  copy?: number;
}

/** `parameters` of an `err` job: one event that the processor gave up for one destination. Its payload is the event. */
export interface ErrorParameters {
  source_id: string;
  destination_id: string;
  /** Where in the processor. */
  stage: string;
  config_version: number;
  event_name?: string;
  event_type?: string;
  /** What the event's `gw` job becomes that tries it again. */
  again: GatewayParameters;
}

/** How to send an `rt` job's payload (spec/delivery.md 1.8). The body itself is the job's payload, already in wire form. */
export interface RequestDescriptor {
  method: string;
  endpoint: string;
  headers: Record<string, string>;
  params: Record<string, unknown>;
  format: RequestFormat;
  /**
   * The body is `open` bytes, the event, `close` bytes: it may be merged with others (destinations/batch.ts).
   * `eventsMax`: fewer than the rules of the destination's type allow.
   */
  batch?: { open: number; close: number; eventsMax?: number };
}

/**
 * Tells the content type when `headers` do not: JSON → application/json, FORM → x-www-form-urlencoded … CUSTOM: no
 * HTTP request but a message for the sender of the destination's type, as JSON; method and endpoint are then empty.
 * EVENT: no request yet; the body is the event, of which the remote transformer makes the requests at delivery.
 */
export type RequestFormat = (typeof requestFormats)[number];

export const requestFormats = ['JSON', 'JSON_ARRAY', 'XML', 'FORM', 'GZIP', 'NONE', 'CUSTOM', 'EVENT'] as const;

/** `parameters` of an `rt` job. */
export interface RouterParameters {
  source_id: string;
  destination_id: string;
  workspace_id: string;
  event_name?: string;
  event_type?: string;
  source_job_run_id?: string;
  source_task_run_id?: string;
  /** JSON text of the event's `recordId`; only of events that belong to a job run. */
  record_id?: string;
  traceparent?: string;
  /** 1 and up: a transformation made several jobs of one event for this destination, and this is not the first. */
  copy?: number;
  /** In the row without what is usual (destinations/destination.ts). */
  request: RequestDescriptor;
}

/** Delimiter of the composite user id; kept from the field because dedup and order of users depend on it. */
export const userIdDelimiter = '<<>>';

/**
 * The keys a job must keep order in: its anonymous id and its user id. A job may be sent only when it is first in
 * line under every one of them, so order holds when an anonymous visitor becomes a known user, and when one user
 * comes with many anonymous ids. Two keys at most; one when both are equal or one is empty.
 */
export function orderKeys(userId: string): string[] {
  const parts = userId.split(userIdDelimiter);
  if (parts.length < 3) return [userId];
  // The user id comes last and may hold the delimiter itself.
  const [, anonymousOrUser = '', ...rest] = parts;
  const user = rest.join(userIdDelimiter);
  if (user === '' || user === anonymousOrUser) return [anonymousOrUser];
  return anonymousOrUser === '' ? [user] : [anonymousOrUser, user];
}

/** States a status row may hold (spec/ingest.md 3.3). No row = unprocessed. "Executing" is the lease, never a row. */
export type JobState = 'succeeded' | 'aborted' | 'filtered' | 'failed' | 'waiting';
export type TerminalState = 'succeeded' | 'aborted' | 'filtered';

export function isTerminal(state: JobState): state is TerminalState {
  return state === 'succeeded' || state === 'aborted' || state === 'filtered';
}
