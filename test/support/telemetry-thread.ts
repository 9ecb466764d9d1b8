// A thread that does what a test tells it with telemetry of its own, as thread.ts of the product would: its
// OpenTelemetry state starts fresh and its environment is the one the test gives it.

import { once } from 'node:events';
import { createRequire } from 'node:module';
import type { TestContext } from 'node:test';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { createMetrics, createTracing, type MetricSnapshot, realSeams, type SpanHandle } from '../../runtime/index.ts';
import type { SpanOptions } from '../../runtime/telemetry.ts';

type Command =
  | { do: 'start'; name: string; options?: SpanOptions }
  | { do: 'end'; span: number; outcome?: Parameters<SpanHandle['end']>[0] }
  | { do: 'count'; metric: string; value: number }
  | { do: 'snapshot' }
  | { do: 'loadedTelemetryPackages' }
  | { do: 'logged' }
  | { do: 'shutdown'; deadlineMs: number };

export interface TelemetryThread {
  readonly enabled: boolean;
  /** The traceparent children must carry, and the number that ends this span. */
  start(name: string, options?: SpanOptions): Promise<{ span: number; traceparent: string | undefined }>;
  end(span: number, outcome?: Parameters<SpanHandle['end']>[0]): Promise<void>;
  count(metric: string, value: number): Promise<void>;
  snapshot(): Promise<MetricSnapshot[]>;
  loadedTelemetryPackages(): Promise<string[]>;
  logged(): Promise<{ fields: Record<string, unknown>; text: string }[]>;
  shutdown(deadlineMs: number): Promise<void>;
  terminate(): Promise<unknown>;
}

export async function startTelemetryThread(
  t: TestContext,
  threadName: string,
  environment: Record<string, string> = {},
): Promise<TelemetryThread> {
  const worker = new Worker(new URL(import.meta.url), { workerData: { threadName }, env: environment });
  t.after(() => worker.terminate());
  const [{ enabled }] = await once(worker, 'message');
  async function call<Answer>(command: Command): Promise<Answer> {
    worker.postMessage(command);
    const [{ answer }] = await once(worker, 'message');
    return answer;
  }
  return {
    enabled,
    start: (name, options) => call({ do: 'start', name, ...(options === undefined ? {} : { options }) }),
    end: (span, outcome) => call({ do: 'end', span, ...(outcome === undefined ? {} : { outcome }) }),
    count: (metric, value) => call({ do: 'count', metric, value }),
    snapshot: () => call({ do: 'snapshot' }),
    loadedTelemetryPackages: () => call({ do: 'loadedTelemetryPackages' }),
    logged: () => call({ do: 'logged' }),
    shutdown: (deadlineMs) => call({ do: 'shutdown', deadlineMs }),
    terminate: () => worker.terminate(),
  };
}

async function run(threadName: string): Promise<void> {
  const lines: { fields: Record<string, unknown>; text: string }[] = [];
  const tracing = await createTracing({
    environment: process.env,
    serviceName: 'sluice',
    threadName,
    log: { warn: (fields, text) => lines.push({ fields, text }) },
    clock: realSeams().clock,
  });
  const metrics = createMetrics();
  const spans: SpanHandle[] = [];

  function obey(command: Command): unknown {
    switch (command.do) {
      case 'start': {
        const handle = tracing.start(command.name, command.options);
        return { span: spans.push(handle) - 1, traceparent: handle.traceparent };
      }
      case 'end':
        return spans[command.span]?.end(command.outcome);
      case 'count':
        return metrics.counter(command.metric, 'Counted by a test').add(command.value);
      case 'snapshot':
        return metrics.snapshot();
      case 'loadedTelemetryPackages':
        return loadedTelemetryPackages();
      case 'logged':
        return lines;
      case 'shutdown':
        return tracing.shutdown(command.deadlineMs);
    }
  }

  parentPort?.on('message', (command: Command) => {
    void Promise.resolve(obey(command)).then((answer) => parentPort?.postMessage({ answer }));
  });
  parentPort?.postMessage({ enabled: tracing.enabled });
}

/** The OpenTelemetry packages are CommonJS, so whoever loads one, and however, leaves it in this cache. */
function loadedTelemetryPackages(): string[] {
  const files = Object.keys(createRequire(import.meta.url).cache);
  const names = files.map((file) => /@opentelemetry[\\/][^\\/]+/.exec(file)?.[0]);
  return [...new Set(names.filter((name) => name !== undefined))];
}

if (!isMainThread) void run(workerData.threadName);
