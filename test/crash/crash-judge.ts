// What must hold after a crash, and what once everything has settled. It reads the tables and the destinations' own
// records and asks the program nothing: the judge must not believe the judged.

import { type DatasetName, jobsTable, statusTable } from '../../actors/storage/datasets.ts';
import type { Postgres } from '../../transport/index.ts';
import { type Delivery, eventOf, type FakeDestination } from '../support/fake-destination.ts';
import { readLedger } from '../support/ledger.ts';
import { checkDeliveries, findOvertaking, type SentEvent } from '../support/order-checker.ts';
import { type CrashLoad, destinationsOf, fateOf } from './crash-load.ts';

/** `moved`: a job that ended while it was copied into another dataset; that copy is not the job. */
const terminal = "state in ('succeeded', 'aborted', 'filtered', 'moved')";
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
    for (const dataset of await datasetsOf(postgres, queue)) {
      const { rows } = await postgres.query<OpenJob>(
        `select parent_id, floor(extract(epoch from received_at) * 1000)::bigint as received_at_ms,
                parameters::json->>'destination_id' as destination_id
         from ${jobsTable(dataset)} as j where not exists (${endsOf(dataset)})`,
      );
      pending[queue] += rows.length;
      if (queue === 'rt') for (const row of rows) open.add(keyOf(row));
      faults.push(...(await statusFaults(postgres, dataset)));
    }
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

/** Status rows that end the job `j` of the same dataset. */
function endsOf(dataset: DatasetName): string {
  return `select 1 from ${statusTable(dataset)} as s
          where s.partition = j.partition and j.job_id > s.after_id and j.job_id <= s.job_id and ${terminal}`;
}

/** A job ends once, and every attempt that was committed is still there, counted on from the one before. */
async function statusFaults(postgres: Postgres, dataset: DatasetName): Promise<string[]> {
  const faults: string[] = [];
  const [jobs, statuses] = [jobsTable(dataset), statusTable(dataset)];
  const ended = await postgres.query<{ claimed: number; ended: number }>(
    `select coalesce((select sum(jobs) from ${statuses} where ${terminal}), 0)::int as claimed,
            (select count(*)::int from ${jobs} as j where exists (${endsOf(dataset)})) as ended`,
  );
  const [row] = ended.rows;
  if (row !== undefined && row.claimed !== row.ended) {
    faults.push(`${statuses} ends ${row.claimed} jobs, but ${row.ended} jobs of ${jobs} are ended by it`);
  }
  // Of jobs that were moved the newest attempt came along, perhaps twice: an attempt that was made twice has two times.
  const attempts = await postgres.query<{ job_id: number; attempts: number[] }>(
    `select job_id, array_agg(attempt order by attempt) as attempts
     from (select distinct job_id, attempt, exec_time from ${statuses} where state = 'failed') as made
     group by job_id having count(*) <> count(distinct attempt) or count(*) <> max(attempt) - min(attempt) + 1`,
  );
  for (const { job_id: jobId, attempts: found } of attempts.rows) {
    faults.push(`${statuses}: job ${jobId} has the failed attempts ${found}, expected them to count on one by one`);
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

/** Deliveries from `from` on whose request was answered for good before; refused ones are tried again on purpose. */
export function repeatedAfterAnswer(deliveries: readonly Delivery[], from: number): string[] {
  const answered = new Set(
    deliveries
      .slice(0, from)
      .filter(isFinal)
      .map(({ idempotencyKey }) => idempotencyKey),
  );
  return deliveries
    .slice(from)
    .filter((one) => answered.has(one.idempotencyKey) && fateOf(eventOf(one).sequence) !== 'refuse')
    .map((one) => eventOf(one).messageId);
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

/** Refused events that were tried again come at the end of the line of their user. */
function withoutTriedAgain<Arrived extends SentEvent>(arrived: readonly Arrived[]): Arrived[] {
  const refused = new Set<string>();
  return arrived.filter(({ messageId, sequence }) => {
    if (fateOf(sequence) !== 'refuse') return true;
    const isFirst = !refused.has(messageId);
    refused.add(messageId);
    return isFirst;
  });
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
  const overtaken = findOvertaking(withoutTriedAgain(arrived));
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

/** Those that hold jobs which count; the jobs of the others live on in one of these. */
async function datasetsOf(postgres: Postgres, queue: Queue): Promise<DatasetName[]> {
  const { rows } = await postgres.query<DatasetName>(
    'select lane, queue, number from sluice_datasets where queue = $1 and moved_to is null order by lane, number',
    [queue],
  );
  return rows;
}
