// The destination of the benchmarks: a process of its own that answers every request with 200, counts events, measures
// how long each took from sending to arrival, and checks that every user's events come in order and once. Both clocks
// are this machine's. Paths make it a bad destination: /slow/MS answers after so long, /dead never, /fail with 503.

import { createServer, type Socket } from 'node:net';
import { readOrder, readSentAtMicros } from './event-template.ts';
import { HttpReader } from './http-reader.ts';
import { LatencyHistogram } from './latency-histogram.ts';

export interface SinkReport {
  events: number;
  requests: number;
  /** Events of requests that are JSON arrays. */
  batched: number;
  latencyCounts: readonly number[];
  /** Requests by the first part of their path. */
  byPath: Readonly<Record<string, { requests: number; latencyCounts: readonly number[] }>>;
  /** Arrivals after a later event of the same user at the same path, at most the first few. */
  disorder: readonly string[];
  /** The same event again. */
  duplicates: number;
}

export type SinkQuestion = 'report' | 'stop';

const answers = {
  ok: Buffer.from('HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok'),
  fail: Buffer.from('HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nno'),
};
const disorderMax = 20;
const arrayBegin = 0x5b;
/** What each event of a batch begins with. */
const eventBegin = Buffer.from('{"type":"track"');

interface Counts {
  events: number;
  requests: number;
  batched: number;
  duplicates: number;
  disorder: string[];
  latencies: LatencyHistogram;
  byPath: Map<string, { requests: number; latencies: LatencyHistogram }>;
}

let counts: Counts = fresh();
/** Number of the last event by user and path, over all reports. */
const lastByUser = new Map<string, number>();

function fresh(): Counts {
  return {
    events: 0,
    requests: 0,
    batched: 0,
    duplicates: 0,
    disorder: [],
    latencies: new LatencyHistogram(),
    byPath: new Map(),
  };
}

function take(path: string, body: Buffer): void {
  counts.requests += 1;
  let ofPath = counts.byPath.get(path);
  if (ofPath === undefined) {
    ofPath = { requests: 0, latencies: new LatencyHistogram() };
    counts.byPath.set(path, ofPath);
  }
  ofPath.requests += 1;
  if (body[0] === arrayBegin) {
    for (let at = body.indexOf(eventBegin); at >= 0; at = body.indexOf(eventBegin, at + 1)) counts.batched += 1;
    return;
  }
  const sentAt = readSentAtMicros(body, 0);
  if (sentAt === undefined) return;
  const micros = (performance.timeOrigin + performance.now()) * 1000 - sentAt;
  counts.events += 1;
  counts.latencies.record(micros);
  ofPath.latencies.record(micros);
  const order = readOrder(body);
  if (order === undefined) return;
  const key = `${path} ${order.user}`;
  const last = lastByUser.get(key) ?? -1;
  if (order.messageNumber === last) counts.duplicates += 1;
  else if (order.messageNumber < last && counts.disorder.length < disorderMax) {
    counts.disorder.push(`${key}: ${order.messageNumber} after ${last}`);
  }
  lastByUser.set(key, Math.max(last, order.messageNumber));
}

function answer(socket: Socket, path: string): void {
  const [, kind, parameter] = path.split('/');
  if (kind === 'dead') return;
  const bytes = kind === 'fail' ? answers.fail : answers.ok;
  if (kind === 'slow') setTimeout(() => socket.write(bytes), Number(parameter));
  else socket.write(bytes);
}

const server = createServer((socket) => {
  socket.setNoDelay(true);
  const reader = new HttpReader(({ head, body }) => {
    const path = head.slice(head.indexOf(' ') + 1, head.indexOf(' HTTP'));
    take(path, body);
    answer(socket, path);
  });
  socket.on('data', (chunk) => reader.push(chunk));
  socket.on('error', () => socket.destroy());
});

server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.send?.({ port: typeof address === 'object' ? address?.port : 0 });
});

// Whoever asked is gone, however it ended.
process.once('disconnect', () => process.exit(0));
process.on('message', (question: SinkQuestion) => {
  if (question === 'stop') process.exit(0);
  const { latencies, byPath, ...plain } = counts;
  const paths = [...byPath].map(([path, one]) => [
    path,
    { requests: one.requests, latencyCounts: one.latencies.counts },
  ]);
  process.send?.({
    ...plain,
    latencyCounts: latencies.counts,
    byPath: Object.fromEntries(paths),
  } satisfies SinkReport);
  counts = fresh();
});
