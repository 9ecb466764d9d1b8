// Tells people that a destination is down, or up again: once in the log, in the metrics, and to main for the status.

import type { ActorContext, Counter, Metrics } from '../../runtime/index.ts';
import { type DestinationFound, processKey, processKind } from '../process-actor.ts';
import type { RouterMessage } from './contract.ts';
import type { JobLane } from './routed-job.ts';

/** Of the destination's answer; the whole of it is kept with the job. */
const answerCharactersMax = 200;

export class DestinationWatch {
  readonly #context: ActorContext<RouterMessage>;
  readonly #changes: Counter;

  constructor(context: ActorContext<RouterMessage>, metrics: Metrics) {
    this.#context = context;
    this.#changes = metrics.counter('sluice_router_breaker_changes_total', 'Destinations found down or up again');
  }

  changed({ destinationId }: JobLane, change: 'opened' | 'closed', code: number, answer: string): void {
    this.#changes.add(1, { change });
    const { log } = this.#context;
    if (change === 'opened') {
      const reason = `code ${code}: ${answer.slice(0, answerCharactersMax)}`;
      log.warn({ destinationId, reason }, 'a destination is down: its jobs wait, and it is probed');
      this.#tell({ kind: 'destinationFound', destinationId, isDown: true, reason });
    } else {
      log.info({ destinationId }, 'a destination is up again');
      this.#tell({ kind: 'destinationFound', destinationId, isDown: false, reason: '' });
    }
  }

  /** The router ends: nobody probes any more, so nobody knows. */
  forget(lane: JobLane): void {
    if (lane.breaker.openedAtMs === 0) return;
    this.#tell({ kind: 'destinationFound', destinationId: lane.destinationId, isDown: false, reason: '' });
  }

  #tell(found: DestinationFound): void {
    this.#context.ref<DestinationFound>(processKind, processKey).tell(found);
  }
}
