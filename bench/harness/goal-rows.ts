// The rows of the design's table of figures to reach, and the promises that are held by a benchmark: the results page
// shows every one of them, also those nobody measured, because a row that is left out looks as if it were met.

export const goalRows: Readonly<Record<string, string>> = {
  G1: 'durable single-event requests, 256 connections',
  G2: 'durable events in batches of 20, 64 connections',
  G3: 'p99 of accepted requests at half of the highest rate',
  G4: 'memory of the whole program at the highest rate, flat over 30 min',
  G5: 'memory of 10 000 idle keep-alive connections',
  S1: 'COPY through the storage actor',
  S2: 'store, hand-off, done against other job queues',
  S3: 'drain of a backlog from disk',
  S4: 'WAL bytes per job through all stages',
  S5: 'old snapshot held',
  S6: 'commit latency added to an idle single request',
  X1: 'processor, thread time per event',
  X2: 'user JavaScript, small, sandboxed',
  X3: 'extra filtered destination',
  X4: '10 000 source partitions against 10',
  R1: 'deliveries, one request per event',
  R2: 'deliveries in batches of 100',
  R3: 'jobs over 10 to 10 000 destinations',
  R4: 'healthy destination beside a dead one with a backlog',
  R5: 'delivery p95 from accept at 1 000 events/s',
  E1: 'whole pipeline, single events',
  E2: 'whole pipeline, batches',
  E3: 'idle with 10 000 tenants configured',
  E4: 'cold start to the first delivered event',
  P4: 'one bad neighbour of each kind',
  P7: 'overload: honest, bounded, over without traces',
};

const order = Object.keys(goalRows);

/** In the design's order; what is no row of the design comes last. */
export function byRow<Item extends { row: string }>(items: readonly Item[]): Item[] {
  const place = ({ row }: Item): number => (order.includes(row) ? order.indexOf(row) : order.length);
  return [...items].sort((one, other) => place(one) - place(other));
}
