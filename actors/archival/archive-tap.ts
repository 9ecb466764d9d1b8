// Keeps a source's events for its archive: each goes into the queue `arc` with the commit that ends it, as it was
// received. Only of sources whose workspace wants it; what belongs to a job run, and what was sent or is tried twice, is
// not kept.

import type { GatewayParameters } from '../job.ts';
import { type ObservingSettings, observingOf } from '../observations/observing.ts';
import type { CommitAdditions, Tap, TapFactory } from '../processor/stage.ts';
import type { HandedJob } from '../storage/partition-session.ts';

export function archiveTap(settings: ObservingSettings): TapFactory {
  return (source) => {
    if (!observingOf(source, settings).archive) return undefined;
    const own: GatewayParameters = { source_id: source.id, workspace_id: source.workspaceId };
    const parameters = JSON.stringify(own);
    const keep = ({ job }: HandedJob, commit: CommitAdditions): void => {
      const { jobId: parentId, userId, messageId, receivedAtMs, payload } = job;
      commit.add('arc', { jobId: 0, parentId, partition: source.id, userId, messageId, receivedAtMs, parameters }, [
        payload,
      ]);
    };
    const tap: Tap = {
      processed({ inHand }, commit) {
        const { source_job_run_id: run, retry } = inHand.parameters;
        if (run === undefined && retry === undefined) keep(inHand.handed, commit);
      },
      ended(handed, inHand, { kind, stage }, commit) {
        const { source_job_run_id: run, retry } = inHand?.parameters ?? {};
        const isFirst = run === undefined && retry === undefined;
        if (kind !== 'deduplicated' && stage !== 'preprocess' && isFirst) keep(handed, commit);
      },
    };
    return tap;
  };
}
