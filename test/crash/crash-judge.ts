// What must hold after a crash, and what once everything has settled. It reads the tables and the destinations' own
// records and asks the program nothing: the judge must not believe the judged.

import type { Postgres } from '../../transport/index.ts';
import { type Delivery, eventOf, type FakeDestination } from '../support/fake-destination.ts';
import { readLedger } from '../support/ledger.ts';
import { checkDeliveries, findOvertaking, type SentEvent } from '../support/order-checker.ts';
import { type CrashLoad, destinationsOf, fateOf } from './crash-load.ts';

const terminal = "state in ('succeeded', 'aborted', 'filtered')";
const queues = ['gw', 'rt'] as const;
type Queue = (typeof queues)[number];

/** The tables at one moment. */
export interface DiskState {
  faults: string[];
  /** Idempotency keys of deliveries that no committed status has ended; only these may be sent from now on. */
  open: ReadonlySet<string>;
}

/** Nothing may be writing: the process is dead and its sessions are gone, or everything is quiet. */
export async function readDisk(postgres: Postgres): Promise<DiskState> {
  const faults: string[] = [];
  const pending = { gw: 0, rt: 0 };
  const open = new Set<string>();
  for (const queue of queues) {
    const datasets = await datasetsOf(postgres, queue);
    if (datasets.jobs.length === 0) continue;
    const jobs = union(datasets.jobs);
    const statuses = union(datasets.statuses);
    const covers = `s.partition = j.partition and j.job_id > s.after_id and j.job_id <= s.job_id and ${terminal}`;
    const { rows } = await postgres.query<OpenJob>(
      `select parent_id, received_at_ms, destination_id from (
         select j.parent_id, floor(extract(epoch from j.received_at) * 1000)::bigint as received_at_ms,
                j.parameters::json->>'destination_id' as destination_id,
                (select count(*) from (${statuses}) as s where ${covers}) as ends
         from (${jobs}) as j
       ) as job where ends = 0`,
    );
    pending[queue] = rows.length;
    if (queue === 'rt') for (const row of rows) open.add(keyOf(row));
    faults.push(...(await statusFaults(postgres, queue, jobs, statuses)));
  }
  faults.push(...(await ledgerFaults(postgres, pending)));
  return { faults, open };
}

interface OpenJob {
  parent_id: number;
  received_at_ms: number;
  destination_id: string;
}

function keyOf(job: OpenJob): string {
  return `${job.received_at_ms.toString(36)}-${job.parent_id}-${encodeURIComponent(job.destination_id)}`;
}

/** A job ends once, and every attempt that was committed is still there, counted on from the one before. */
async function statusFaults(postgres: Postgres, queue: Queue, jobs: string, statuses: string): Promise<string[]> {
  const faults: string[] = [];
  const ended = await postgres.query<{ claimed: number; ended: number }>(
    `select coalesce((select sum(jobs) from (${statuses}) as s where ${terminal}), 0)::int as claimed,
            (select count(*)::int from (${jobs}) as j where exists (
               select 1 from (${statuses}) as s
               where s.partition = j.partition and j.job_id > s.after_id and j.job_id <= s.job_id and ${terminal}
             )) as ended`,
  );
  const [row] = ended.rows;
  if (row !== undefined && row.claimed !== row.ended) {
    faults.push(`${queue}: the statuses end ${row.claimed} jobs, but ${row.ended} jobs are ended by them`);
  }
  const attempts = await postgres.query<{ job_id: number; attempts: number[] }>(
    `select job_id, array_agg(attempt order by attempt) as attempts from (${statuses}) as s where state = 'failed'
     group by job_id having count(*) <> max(attempt) or count(*) <> count(distinct attempt)`,
  );
  for (const { job_id: jobId, attempts: found } of attempts.rows) {
    faults.push(`${queue}: job ${jobId} has the failed attempts ${found}, expected them to count on from 1`);
  }
  return faults;
}

/** The ledger balances exactly against the jobs that are really there, also while they are pending (promise P6). */
async function ledgerFaults(postgres: Postgres, pending: Record<Queue, number>): Promise<string[]> {
  const ledger = await readLedger(postgres);
  const status = { queues: queues.map((queue) => ({ queue, pending: pending[queue], oldestAgeMs: 0 })) };
  return ledger.faults(status);
}

/** Keys that were sent, up to now: what is not `open` on disk and was sent before must never be sent again. */
export function resent(deliveries: readonly Delivery[], from: number, mayComeAgain: ReadonlySet<string>): string[] {
  const earlier = new Set(deliveries.slice(0, from).map(({ idempotencyKey }) => idempotencyKey));
  return deliveries
    .slice(from)
    .filter(({ idempotencyKey: key }) => earlier.has(key) && !mayComeAgain.has(key))
    .map((delivery) => `${eventOf(delivery).messageId} was sent again to ${delivery.path} after its end was committed`);
}

/** Deliveries from `from` on whose request was answered for good before. */
export function repeatedAfterAnswer(deliveries: readonly Delivery[], from: number): string[] {
  const answered = new Set(
    deliveries
      .slice(0, from)
      .filter(isFinal)
      .map(({ idempotencyKey }) => idempotencyKey),
  );
  return deliveries.slice(from).flatMap((one) => (answered.has(one.idempotencyKey) ? [eventOf(one).messageId] : []));
}

function isFinal({ status }: Delivery): boolean {
  return status !== 0 && status < 500;
}

/** Nothing is pending any more: every event is where its fate wants it, and the ledger says so to the last one. */
export async function judgeQuiet(postgres: Postgres, load: CrashLoad, destination: FakeDestination): Promise<string[]> {
  const { faults } = await readDisk(postgres);
  const ledger = await readLedger(postgres);
  if (load.strange.length > 0) faults.push(`clients were answered ${load.strange.slice(0, 3)}`);
  for (const [sourceId, destinationIds] of Object.entries(destinationsOf)) {
    const acknowledged = load.acknowledged.get(sourceId) ?? [];
    const uncertain = load.uncertain.get(sourceId) ?? [];
    for (const destinationId of destinationIds) {
      const deliveries = destination.deliveries.filter(({ path }) => path === `/${destinationId}`);
      const facts = factsOf(deliveries);
      const name = `${sourceId} to ${destinationId}`;
      faults.push(...deliveryFaults(name, deliveries, acknowledged, uncertain));
      faults.push(...fateFaults(name, facts, acknowledged));
      const counted = {
        routed: ledger.count(sourceId, destinationId, 'routed'),
        delivered: ledger.count(sourceId, destinationId, 'delivered'),
        filtered: ledger.count(sourceId, destinationId, 'filtered'),
        aborted: ledger.count(sourceId, destinationId, 'aborted'),
      };
      const seen = {
        routed: facts.messages.size,
        delivered: facts.delivered.size,
        filtered: facts.filtered.size,
        aborted: facts.messages.size - facts.delivered.size - facts.filtered.size,
      };
      if (JSON.stringify(counted) !== JSON.stringify(seen)) {
        faults.push(`${name}: the ledger says ${JSON.stringify(counted)}, the destination ${JSON.stringify(seen)}`);
      }
      const accepted = ledger.count(sourceId, '', 'accepted');
      if (accepted !== facts.messages.size) {
        faults.push(`${name}: ${accepted} events were accepted, ${facts.messages.size} came`);
      }
    }
  }
  return faults;
}

interface Facts {
  messages: ReadonlySet<string>;
  delivered: ReadonlySet<string>;
  refused: ReadonlySet<string>;
  filtered: ReadonlySet<string>;
}

function factsOf(deliveries: readonly Delivery[]): Facts {
  const idsOf = (holds: (status: number) => boolean): Set<string> =>
    new Set(deliveries.filter(({ status }) => holds(status)).map((one) => eventOf(one).messageId));
  return {
    messages: idsOf(() => true),
    delivered: idsOf((status) => status === 200),
    refused: idsOf((status) => status === 400),
    filtered: idsOf((status) => status === 298),
  };
}

function deliveryFaults(
  name: string,
  deliveries: readonly Delivery[],
  acknowledged: readonly SentEvent[],
  uncertain: readonly SentEvent[],
): string[] {
  const arrived = deliveries.map((one) => ({ ...eventOf(one), idempotencyKey: one.idempotencyKey }));
  const { lost, unknown, unrecognisable } = checkDeliveries(acknowledged, arrived, uncertain);
  const overtaken = findOvertaking(arrived);
  const faults: string[] = [];
  if (lost.length > 0) faults.push(`${name}: ${lost.length} acknowledged events were lost: ${lost.slice(0, 5)}`);
  if (unknown.length > 0)
    faults.push(`${name}: ${unknown.length} events came that nobody sent: ${unknown.slice(0, 5)}`);
  if (unrecognisable.length > 0)
    faults.push(`${name}: ${unrecognisable.slice(0, 5)} came with another idempotency key`);
  if (overtaken.length > 0) faults.push(`${name}: ${overtaken.length} attempts out of order: ${overtaken.slice(0, 5)}`);
  return faults;
}

function fateFaults(name: string, facts: Facts, acknowledged: readonly SentEvent[]): string[] {
  const wrong = acknowledged.filter(({ sequence, messageId }) => {
    const fate = fateOf(sequence);
    if (fate === 'deliver' || fate === 'retry') return !facts.delivered.has(messageId);
    if (fate === 'filter') return !facts.filtered.has(messageId);
    return fate === 'refuse' ? !facts.refused.has(messageId) : facts.delivered.has(messageId);
  });
  return wrong.length === 0
    ? []
    : [`${name}: ${wrong.length} events did not end as they had to: ${wrong[0]?.messageId}`];
}

/** Names of a queue's datasets, of all lanes: `gw_`, `gw_l1_` … with the number behind `jobs_` or `status_`. */
async function datasetsOf(postgres: Postgres, queue: Queue): Promise<{ jobs: string[]; statuses: string[] }> {
  const { rows } = await postgres.query<{ name: string }>(
    `select tablename as name from pg_tables where tablename ~ '^${queue}_(l[0-9]+_)?jobs_[0-9]+$' order by 1`,
  );
  const jobs = rows.map(({ name }) => name);
  return { jobs, statuses: jobs.map((name) => name.replace('jobs_', 'status_')) };
}

function union(tables: readonly string[]): string {
  return tables.map((table) => `select * from ${table}`).join(' union all ');
}
