// Events that an operator has given up before they came to their destinations: by source, job run or age. Rules that name
// a destination are the router's: the event goes on to its other destinations.

import type { ControlsHolder } from '../controls/contract.ts';
import type { Stage } from './stage.ts';

const drained = 410;

/** Rules come and go without a new configuration, so that every source has this stage; without rules it is one look. */
export function drainStage(controls: Pick<ControlsHolder, 'hasDrains' | 'drainReason'>): Stage {
  return ({ handed, parameters }) => {
    if (!controls.hasDrains) return undefined;
    const reason = controls.drainReason({
      destinationId: '',
      sourceId: parameters.source_id,
      jobRunId: parameters.source_job_run_id ?? '',
      jobId: handed.job.jobId,
      receivedAtMs: handed.job.receivedAtMs,
    });
    return reason === undefined ? undefined : { kind: 'aborted', code: drained, reason, stage: 'preprocess' };
  };
}
