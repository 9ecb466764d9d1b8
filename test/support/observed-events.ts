// Runs events through the processor's stages with somebody looking on, for tests of what is told beside the main path.

import assert from 'node:assert/strict';
import { type Settings, settingsSchema } from '../../actors/config.ts';
import { processJob } from '../../actors/processor/pipeline.ts';
import { PipelineBatch } from '../../actors/processor/pipeline-batch.ts';
import { RouteTable } from '../../actors/processor/routes.ts';
import { SourcePlans } from '../../actors/processor/source-plan.ts';
import type { TapFactory } from '../../actors/processor/stage.ts';
import type { TransformAnswers } from '../../actors/processor/transformed-copies.ts';
import { type SourceConfig, WorkspaceIndex } from '../../actors/services/workspace.ts';
import type { HandedJob, Results } from '../../actors/storage/partition-session.ts';
import { loadConfig } from '../../runtime/index.ts';
import { makeSnapshot } from './workspace-objects.ts';

export function defaultSettings(): Settings {
  const loaded = loadConfig(settingsSchema, { environment: {}, flags: [] });
  assert(loaded.ok);
  return loaded.settings;
}

export interface ObservedRun {
  source: SourceConfig;
  taps: TapFactory[];
  /** JSON text, or an object that becomes it. */
  events: readonly (object | string)[];
  receivedAtMs?: number;
  answers?: (handed: HandedJob) => ReturnType<TransformAnswers['get']>;
}

/** What one commit of these events holds. What a tap throws fails the test. */
export function runObserved({ source, taps, events, receivedAtMs = 0, answers }: ObservedRun): Results {
  const batch = new PipelineBatch(0);
  const context = {
    workspace: new WorkspaceIndex(makeSnapshot([source])),
    plans: new SourcePlans({ routes: new RouteTable({ isolation: 'destination', shards: '' }), stages: [], taps }),
    tracing: { enabled: false, start: () => ({ traceparent: undefined, end: () => {} }) },
    nowMs: receivedAtMs,
    dedup: { claim: () => true, giveBack: () => {} },
    tapFailed: (error: unknown) => assert.fail(String(error)),
  };
  for (const [index, event] of events.entries()) {
    const text = typeof event === 'string' ? event : JSON.stringify(event);
    const handed: HandedJob = {
      job: {
        jobId: index + 1,
        parentId: 0,
        partition: source.id,
        userId: '<<>>anon<<>>ann',
        messageId: `m-${index + 1}`,
        receivedAtMs,
        parameters: JSON.stringify({ source_id: source.id, workspace_id: source.workspaceId }),
        payload: Buffer.from(text),
      },
      afterId: index,
      again: false,
      status: undefined,
    };
    const given = answers?.(handed);
    processJob(handed, batch, { ...context, ...(given === undefined ? {} : { answers: new Map([[handed, given]]) }) });
  }
  return batch.takeResults();
}
