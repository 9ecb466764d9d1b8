// The destination of the pipeline benchmark: a process of its own that answers every request with 200 at once, counts
// events and measures how long each took from sending to arrival. Both clocks are this machine's.

import { createServer } from 'node:net';
import { readSentAtMicros } from './event-template.ts';
import { HttpReader } from './http-reader.ts';
import { LatencyHistogram } from './latency-histogram.ts';

export interface SinkReport {
  events: number;
  requests: number;
  latencyCounts: readonly number[];
}

export type SinkQuestion = 'report' | 'stop';

const answer = Buffer.from('HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok');

let report: { events: number; requests: number; latencies: LatencyHistogram } = fresh();

function fresh() {
  return { events: 0, requests: 0, latencies: new LatencyHistogram() };
}

const server = createServer((socket) => {
  socket.setNoDelay(true);
  const reader = new HttpReader(({ body }) => {
    const now = (performance.timeOrigin + performance.now()) * 1000;
    const sentAt = readSentAtMicros(body, 0);
    report.requests += 1;
    if (sentAt !== undefined) {
      report.events += 1;
      report.latencies.record(now - sentAt);
    }
    socket.write(answer);
  });
  socket.on('data', (chunk) => reader.push(chunk));
  socket.on('error', () => socket.destroy());
});

server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.send?.({ port: typeof address === 'object' ? address?.port : 0 });
});

process.on('message', (question: SinkQuestion) => {
  if (question === 'stop') process.exit(0);
  const { events, requests, latencies } = report;
  process.send?.({ events, requests, latencyCounts: latencies.counts } satisfies SinkReport);
  report = fresh();
});
