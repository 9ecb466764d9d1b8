// The load generator: a process of its own that keeps N connections busy, each with one request at a time (closed loop),
// over plain sockets, because a full HTTP client would take the core that is being measured.

import { connect, type Socket } from 'node:net';
import { cpuUsage } from 'node:process';
import { createTemplate, fillTemplate, type RequestTemplate, type TemplateOptions } from './event-template.ts';
import { HttpReader } from './http-reader.ts';
import { LatencyHistogram } from './latency-histogram.ts';

export interface LoadOptions extends TemplateOptions {
  port: number;
  connections: number;
  warmUpSeconds: number;
  seconds: number;
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
  /** Everything but 200, by status. */
  refused: Record<string, number>;
  cpuMs: number;
}

const templatesPerConnection = 4;

class Load {
  readonly #options: LoadOptions;
  readonly #latencies = new LatencyHistogram();
  readonly #refused: Record<string, number> = {};
  #nextId: number;
  #requests = 0;
  #answered = 0;
  #measuring = false;
  #ending = false;
  #open = 0;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#nextId = options.firstId;
  }

  run(): Promise<LoadResult> {
    const { options } = { options: this.#options };
    let beganAt = 0;
    let elapsedMs = 0;
    let cpu = cpuUsage();
    setTimeout(() => {
      beganAt = performance.now();
      cpu = cpuUsage();
      this.#measuring = true;
    }, options.warmUpSeconds * 1000);
    setTimeout(
      () => {
        elapsedMs = performance.now() - beganAt;
        cpu = cpuUsage(cpu);
        this.#measuring = false;
        this.#ending = true;
      },
      (options.warmUpSeconds + options.seconds) * 1000,
    );
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        this.#open -= 1;
        if (this.#open > 0) return;
        resolve({
          requests: this.#requests,
          events: this.#requests * options.eventsPerRequest,
          eventsTotal: this.#answered * options.eventsPerRequest,
          elapsedMs,
          latencyCounts: this.#latencies.counts,
          refused: this.#refused,
          cpuMs: (cpu.user + cpu.system) / 1000,
        });
      };
      for (let index = 0; index < options.connections; index += 1) this.#connect(finish, reject);
    });
  }

  #connect(finish: () => void, fail: (error: Error) => void): void {
    const templates = Array.from({ length: templatesPerConnection }, () => createTemplate(this.#options));
    const socket = connect(this.#options.port, '127.0.0.1');
    this.#open += 1;
    socket.setNoDelay(true);
    let turn = 0;
    let sentAt = 0;
    const sendNext = (): void => {
      if (this.#ending) {
        socket.destroy();
        finish();
        return;
      }
      sentAt = performance.now();
      turn = (turn + 1) % templates.length;
      this.#send(socket, templates[turn]);
    };
    const reader = new HttpReader(({ head }) => {
      this.#count(head.slice(9, 12), (performance.now() - sentAt) * 1000);
      sendNext();
    });
    socket.on('connect', sendNext);
    socket.on('data', (chunk) => reader.push(chunk));
    socket.on('error', fail);
  }

  #send(socket: Socket, template: RequestTemplate | undefined): void {
    if (template === undefined) return;
    this.#nextId = fillTemplate(
      template,
      this.#nextId,
      Math.round((performance.timeOrigin + performance.now()) * 1000),
    );
    socket.write(template.bytes);
  }

  #count(status: string, micros: number): void {
    if (status !== '200') {
      this.#refused[status] = (this.#refused[status] ?? 0) + 1;
      return;
    }
    this.#answered += 1;
    if (!this.#measuring) return;
    this.#requests += 1;
    this.#latencies.record(micros);
  }
}

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
