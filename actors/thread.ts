// Entry of every worker thread: builds what its actors need and hosts the actors of its role.

import {
  createMetrics,
  createTracing,
  realSeams,
  recordVitals,
  runThread,
  type ThreadTracing,
} from '../runtime/index.ts';
import { type Controls, ControlsHolder, controlsTopic } from './controls/contract.ts';
import { type Watched, watchedTopic } from './debugger/contract.ts';
import { definitionsFor } from './definitions.ts';
import { memoryLimit } from './memory-watch.ts';
import { loadEnrichers } from './processor/enrichers.ts';
import { WorkspaceHolder, type WorkspaceMessage, workspaceTopic } from './services/workspace.ts';
import { AdaptiveLimit } from './storage/adaptive-limit.ts';
import type { ThreadData } from './thread-data.ts';
import { threadObservers, type WatchingObservers } from './thread-observers.ts';

const workspace = new WorkspaceHolder();
const controls = new ControlsHolder();
const metrics = createMetrics();
let tracing: ThreadTracing;
let lastLoad = performance.eventLoopUtilization();
/** Spans that a dead collector does not take are given up after this long. */
const flushMs = 2_000;
const memoryLookMs = 1_000;

let observers: WatchingObservers | undefined;

runThread({
  async definitions(data, thread) {
    const { settings, postgres, instanceId, workspace: first, controls: decided } = data as ThreadData;
    tracing = await createTracing({
      environment: process.env,
      serviceName: 'sluice',
      threadName: `${thread.role}-${thread.threadId}`,
      log: thread.log,
      clock: realSeams().clock,
    });
    workspace.publish(first);
    controls.publish(decided);
    const telemetry = { metrics, tracing };
    observers = threadObservers(workspace, settings, () => Date.now());
    const environment = { settings, workspace, controls, postgres, instanceId, telemetry, observers };
    if (thread.role !== 'actors') return definitionsFor(thread.role, environment);
    const memory = settings.threads.adaptiveLimit ? watchMemory() : undefined;
    const enrichers = await loadEnrichers(settings.enrichment);
    return definitionsFor(thread.role, { ...environment, enrichers, ...(memory === undefined ? {} : { memory }) });
  },
  tracing: () => tracing,
  onBroadcast(topic, value) {
    if (topic === workspaceTopic) workspace.take(value as WorkspaceMessage);
    if (topic === watchedTopic) observers?.watch(value as Watched);
    if (topic === controlsTopic) controls.publish(value as Controls);
  },
  collect() {
    const { heapUsed, heapTotal, external } = process.memoryUsage();
    const busy = performance.eventLoopUtilization(lastLoad);
    lastLoad = performance.eventLoopUtilization();
    recordVitals(metrics, {
      heapUsedBytes: heapUsed,
      heapTotalBytes: heapTotal,
      externalBytes: external,
      eventLoopUtilization: busy.utilization,
    });
    return metrics.snapshot();
  },
  onDrained: () => tracing.shutdown(flushMs),
  onLingering: () => process.exit(),
});

function watchMemory(): AdaptiveLimit {
  const limit = new AdaptiveLimit();
  const allowedBytes = memoryLimit(process.constrainedMemory());
  const look = (): void => limit.look(1 - process.memoryUsage.rss() / allowedBytes);
  look();
  setInterval(look, memoryLookMs).unref();
  return limit;
}
