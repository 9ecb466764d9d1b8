// The processor as an actor type: one per partition of the `gw` queue. What it does is in processor.ts.

import { type ActorDefinition, defineActor } from '../../runtime/index.ts';
import { destinationTypeLabel } from '../destinations/registry.ts';
import type { Environment } from '../environment.ts';
import { processKey, processKind } from '../process-actor.ts';
import type { LedgerDelta } from '../storage/contract.ts';
import { BytesBudget } from '../storage/partition-session.ts';
import { type ProcessorMessage, processorKind } from './contract.ts';
import { DedupWindows } from './dedup.ts';
import { DedupMemory } from './dedup-memory.ts';
import { hydrationService } from './hydration.ts';
import { Processor, type Shared } from './processor.ts';
import { RouteTable } from './routes.ts';
import { SourcePlans } from './source-plan.ts';
import { processorStages, type StageParts } from './stages.ts';
import { processorTaps } from './taps.ts';

const mailboxBytesMax = 64 * 1024 * 1024;
/** Events that all processors of a thread hold. */
const threadBytesMax = 128 * 1024 * 1024;

export function processorDefinition(environment: Environment): ActorDefinition<ProcessorMessage> {
  const { settings } = environment;
  const shared: Shared = {
    plans: new SourcePlans({
      routes: new RouteTable(settings.router, settings.transformer),
      stages: processorStages(stageParts(environment)),
      taps: processorTaps(environment),
    }),
    budget: new BytesBudget(threadBytesMax, environment.memory),
    dedup: {
      windows: new DedupWindows(settings.dedup),
      memory: new DedupMemory(settings.dedup.entriesMax, environment.telemetry.metrics),
    },
    count: processorCounter(environment),
    tapFailed: tapFailureCounter(environment),
    hydration: hydrationService(settings.transformer),
  };
  return defineActor<ProcessorMessage>({
    kind: processorKind,
    role: 'actors',
    idleMs: settings.processor.idleMs,
    remedy: 'split its partition with processor.shards, or choose a finer processor.isolation',
    mailbox: { bytesMax: mailboxBytesMax },
    create(context) {
      environment.observers?.attach(context.ref(processKind, processKey));
      const processor = new Processor(context, environment, shared);
      return {
        onStart: () => processor.open(),
        onMessage: (message) => processor.receive(message),
        onStop: (reason) => processor.stop(reason),
      };
    },
  });
}

function stageParts({ settings, controls, enrichers, telemetry }: Environment): StageParts {
  const failures = telemetry.metrics.counter(
    'sluice_enricher_failures_total',
    "Times an operator's own enricher threw; its event went on all the same",
  );
  const problems = telemetry.metrics.counter(
    'sluice_tracking_plan_problems_total',
    'Rules of tracking plans that cannot be checked; their events pass',
  );
  return {
    settings,
    controls,
    enrichers: enrichers ?? { geo: undefined, plugIns: [] },
    enricherFailed: () => failures.add(1),
    planProblem: (sourceId) => problems.add(1, { source_id: sourceId }),
  };
}

function tapFailureCounter({ telemetry }: Environment): () => void {
  const failures = telemetry.metrics.counter(
    'sluice_processor_tap_failures_total',
    'Events that something which only looks on could not take; they went on all the same',
  );
  return () => failures.add(1);
}

/** Counts what a commit settled. By its ledger, so the counters cost nothing per event and agree with it. */
function processorCounter({ telemetry, workspace }: Environment): (ledger: readonly LedgerDelta[]) => void {
  const events = telemetry.metrics.counter('sluice_processor_events_total', 'Events the processor is done with');
  const routed = telemetry.metrics.counter(
    'sluice_processor_destination_events_total',
    'Events by destination type: routed, and of these filtered or aborted before a job was made',
  );
  return (ledger) => {
    for (const { destinationId, kind, count } of ledger) {
      if (destinationId === '') events.add(count, { outcome: kind });
      else {
        const type = destinationTypeLabel(workspace.current.destinationById(destinationId));
        routed.add(count, { destination_type: type, outcome: kind });
      }
    }
  };
}
