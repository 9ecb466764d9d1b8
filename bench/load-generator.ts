// The load generator: a process of its own on plain sockets, because a full HTTP client would take the core that is being
// measured. Two ways of sending:
//   closed loop  every connection has one request under way: finds the highest rate, says nothing about waiting;
//   open loop    requests fall due at a fixed rate whatever the answers do, and each latency counts from the moment it
//                fell due, so that a stall is everybody's who would have come during it (no coordinated omission).

import { connect, type Socket } from 'node:net';
import { cpuUsage } from 'node:process';
import { createTemplate, fillTemplate, type RequestTemplate } from './event-template.ts';
import { HttpReader } from './http-reader.ts';
import { LatencyHistogram } from './latency-histogram.ts';

export interface RequestShape {
  path: string;
  eventsPerRequest: number;
  /** How often beside the other shapes. */
  weight: number;
}

export interface LoadOptions {
  host: string;
  port: number;
  /** Dealt out over the connections; one with several takes turns. */
  writeKeys: readonly string[];
  requests: readonly RequestShape[];
  eventBytes: number;
  connections: number;
  warmUpSeconds: number;
  seconds: number;
  /** Requests per second, all connections together; 0: closed loop. */
  ratePerSecond: number;
  /** Open loop: what falls due while every connection is busy is dropped, as by clients that give up, and not sent late. */
  dropsLate: boolean;
  /** Ends after so many requests; 0: by time alone. */
  requestsMax: number;
  /** First message id, so that no two loads share one. */
  firstId: number;
}

export interface LoadResult {
  /** Within the measured time, answered 200. */
  requests: number;
  events: number;
  /** From the beginning, answered 200, warm-up included: what the program must deliver. */
  eventsTotal: number;
  elapsedMs: number;
  latencyCounts: readonly number[];
  /** Of answers that were no 200: overload must be told fast. */
  refusedLatencyCounts: readonly number[];
  /** Everything but 200, by status. */
  refused: Record<string, number>;
  /** Answers other than 200 without Retry-After where one is due (429 and 503). */
  withoutRetryAfter: number;
  /** Due and never sent: the open loop could not keep its rate. */
  unsent: number;
  /** Events answered 200 in each quarter of a second. */
  perQuarter: number[];
  cpuMs: number;
}

const templatesPerConnection = 4;
const usersPerConnection = 8;
const quarterMs = 250;

class Load {
  readonly #options: LoadOptions;
  readonly #latencies = new LatencyHistogram();
  readonly #refusedLatencies = new LatencyHistogram();
  readonly #refused: Record<string, number> = {};
  readonly #idle: ((dueAt: number) => void)[] = [];
  /** Open loop: moments at which requests fell due that no connection was free for. */
  readonly #due: number[] = [];
  #nextDue = 0;
  #nextId: number;
  #requests = 0;
  #events = 0;
  #eventsTotal = 0;
  #perQuarter: number[] = [];
  #withoutRetryAfter = 0;
  #beganAt = 0;
  #endedAt = 0;
  #measuring = false;
  #ending = false;
  #open = 0;
  #sent = 0;
  #dropped = 0;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#nextId = options.firstId;
  }

  run(): Promise<LoadResult> {
    const { warmUpSeconds, seconds, connections } = this.#options;
    let elapsedMs = 0;
    let cpu = cpuUsage();
    setTimeout(() => {
      this.#beganAt = performance.now();
      cpu = cpuUsage();
      this.#measuring = true;
    }, warmUpSeconds * 1000);
    const end = (): void => {
      this.#endedAt = performance.now();
      elapsedMs = this.#endedAt - this.#beganAt;
      cpu = cpuUsage(cpu);
      this.#measuring = false;
      this.#ending = true;
      // Never sent: it waited for at least so long.
      for (const dueAt of this.#due.slice(this.#nextDue)) {
        if (this.#isMeasured(dueAt)) this.#latencies.record((this.#endedAt - dueAt) * 1000);
      }
      for (const finish of this.#idle.splice(0)) finish(0);
    };
    setTimeout(end, (warmUpSeconds + seconds) * 1000);
    if (this.#options.ratePerSecond > 0) this.#tick(performance.now(), 0);
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        this.#open -= 1;
        if (this.#open > 0) return;
        resolve({
          requests: this.#requests,
          events: this.#events,
          eventsTotal: this.#eventsTotal,
          elapsedMs: elapsedMs || performance.now() - this.#beganAt,
          latencyCounts: this.#latencies.counts,
          refusedLatencyCounts: this.#refusedLatencies.counts,
          refused: this.#refused,
          withoutRetryAfter: this.#withoutRetryAfter,
          unsent: this.#due.length - this.#nextDue + this.#dropped,
          perQuarter: this.#perQuarter,
          cpuMs: (cpu.user + cpu.system) / 1000,
        });
      };
      for (let index = 0; index < connections; index += 1) this.#connect(index, finish, reject);
    });
  }

  /** Open loop: whatever fell due since the last look is given to idle connections or waits. */
  #tick(beganAt: number, fellDue: number): void {
    if (this.#ending) return;
    const perMs = this.#options.ratePerSecond / 1000;
    const total = Math.floor((performance.now() - beganAt) * perMs);
    for (let index = fellDue; index < total; index += 1) {
      const dueAt = beganAt + index / perMs;
      const send = this.#idle.pop();
      if (send !== undefined) send(dueAt);
      else if (this.#options.dropsLate) this.#dropped += 1;
      else this.#due.push(dueAt);
    }
    setTimeout(() => this.#tick(beganAt, total), 1);
  }

  #connect(index: number, finish: () => void, fail: (error: Error) => void): void {
    const templates = this.#templates(index);
    const socket = connect(this.#options.port, this.#options.host);
    this.#open += 1;
    socket.setNoDelay(true);
    let turn = 0;
    let dueAt = 0;
    let eventsSent = 0;
    let isBusy = false;
    let isOver = false;
    const send = (due: number): void => {
      const { requestsMax } = this.#options;
      if (this.#ending || (requestsMax > 0 && this.#sent >= requestsMax)) {
        isOver = true;
        socket.destroy();
        finish();
        return;
      }
      isBusy = true;
      dueAt = due;
      turn = (turn + 1) % templates.length;
      eventsSent = this.#send(socket, templates[turn]);
    };
    const next = (): void => {
      if (this.#options.ratePerSecond === 0 || this.#ending) send(performance.now());
      else if (this.#nextDue < this.#due.length) {
        const due = this.#due[this.#nextDue] ?? 0;
        this.#nextDue += 1;
        send(due);
      } else this.#idle.push(send);
    };
    const reader = new HttpReader(({ head }) => {
      isBusy = false;
      this.#count(head, eventsSent, dueAt);
      next();
    });
    socket.on('connect', next);
    socket.on('data', (chunk) => reader.push(chunk));
    socket.on('error', fail);
    // A server closes connections nobody used for a while: another one takes the place. A request that was under way is
    // told, for nobody knows what became of it.
    socket.on('close', () => {
      if (isOver) return;
      if (isBusy) this.#refused.closed = (this.#refused.closed ?? 0) + 1;
      const place = this.#idle.indexOf(send);
      if (place !== -1) this.#idle.splice(place, 1);
      if (!this.#ending) this.#connect(index, finish, fail);
      finish();
    });
  }

  #templates(index: number): RequestTemplate[] {
    const { host, eventBytes, writeKeys, requests } = this.#options;
    const total = requests.reduce((sum, { weight }) => sum + weight, 0);
    const keysPerConnection = Math.ceil(writeKeys.length / this.#options.connections);
    const count = Math.max(keysPerConnection, templatesPerConnection * (requests.length === 1 ? 1 : 4));
    return Array.from({ length: count }, (_, place) => {
      // Shapes by weight, spread evenly over the turns and begun at another place by each connection.
      let left = ((place + index) % count) * (total / count);
      const shape = requests.find(({ weight }) => {
        left -= weight;
        return left < 0;
      });
      const { path, eventsPerRequest } = shape ?? { path: '/', eventsPerRequest: 1 };
      const tenant = (index + place * this.#options.connections) % writeKeys.length;
      const writeKey = writeKeys[tenant] ?? '';
      const connection = `${this.#options.firstId}-${index}-${tenant}`;
      return createTemplate({ path, eventsPerRequest, host, eventBytes, writeKey, connection, usersPerConnection });
    });
  }

  #send(socket: Socket, template: RequestTemplate | undefined): number {
    if (template === undefined) return 0;
    const nowMicros = Math.round((performance.timeOrigin + performance.now()) * 1000);
    this.#sent += 1;
    this.#nextId = fillTemplate(template, this.#nextId, nowMicros);
    socket.write(template.bytes);
    return template.messageIdOffsets.length;
  }

  #count(head: string, events: number, dueAt: number): void {
    const status = head.slice(9, 12);
    const latencies = status === '200' ? this.#latencies : this.#refusedLatencies;
    if (this.#isMeasured(dueAt)) latencies.record((performance.now() - dueAt) * 1000);
    if (status !== '200') {
      this.#refused[status] = (this.#refused[status] ?? 0) + 1;
      if ((status === '429' || status === '503') && !/^retry-after:/im.test(head)) this.#withoutRetryAfter += 1;
      return;
    }
    this.#eventsTotal += events;
    if (!this.#measuring) return;
    this.#requests += 1;
    this.#events += events;
    const quarter = Math.floor((performance.now() - this.#beganAt) / quarterMs);
    this.#perQuarter[quarter] = (this.#perQuarter[quarter] ?? 0) + events;
  }

  /** By when it fell due, not by when it was answered: whoever still waits when the time is over waits longest. */
  #isMeasured(dueAt: number): boolean {
    if (this.#ending) return dueAt >= this.#beganAt && dueAt < this.#endedAt;
    return this.#measuring && dueAt >= this.#beganAt;
  }
}

// Whoever asked is gone, or has its answer.
process.once('disconnect', () => process.exit());
process.on('message', (options: LoadOptions) => {
  new Load(options).run().then(
    (result) => process.send?.(result, () => process.disconnect()),
    (error: unknown) => {
      console.error(error);
      process.exitCode = 1;
      process.disconnect();
    },
  );
});
