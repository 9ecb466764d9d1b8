// What is told to the transformer about a job, its destination and its connection. Keys of a destination are in
// PascalCase on the wire although the configuration has them in camelCase, which is easily got wrong; keys inside of
// `Config` stay as they are. Events are moved as the bytes they are: nothing of them is read here.

import type { DestinationConfig, SourceConfig } from '../services/workspace.ts';
import type { TransformerJob } from './contract.ts';

/** JSON text by the configuration's own objects, which are never changed: worked out once for each. */
const destinationTexts = new WeakMap<DestinationConfig, string>();

export function destinationText(destination: DestinationConfig): string {
  let text = destinationTexts.get(destination);
  if (text === undefined) {
    text = JSON.stringify(destinationForm(destination));
    destinationTexts.set(destination, text);
  }
  return text;
}

function destinationForm(destination: DestinationConfig): Record<string, unknown> {
  const { id, name, displayName, config } = destination.destinationDefinition;
  return {
    ID: destination.id,
    Name: destination.name,
    Config: destination.config,
    Enabled: destination.enabled,
    WorkspaceID: destination.workspaceId,
    Transformations: (destination.transformations ?? []).map((transformation) => ({
      VersionID: transformation.versionId,
      ID: transformation.id,
      Config: {},
      Language: transformation.language,
    })),
    IsProcessorEnabled: destination.isProcessorEnabled,
    RevisionID: destination.revisionId,
    DestinationDefinition: { ID: id, Name: name, DisplayName: displayName, Config: config },
    hasDynamicConfig: /\{\{[^{}]*\}\}/.test(JSON.stringify(destination.config)),
  };
}

export function connectionText(sourceId: string, destination: DestinationConfig): string {
  return JSON.stringify({
    sourceId,
    destinationId: destination.id,
    enabled: true,
    config: {},
    processorEnabled: true,
  });
}

/** Keys that have no value are left out. */
export function processorMetadataText(
  { job, parameters }: TransformerJob,
  source: SourceConfig | undefined,
  destination: DestinationConfig,
): string {
  const [transformation] = destination.transformations ?? [];
  return JSON.stringify({
    jobId: job.jobId,
    workspaceId: destination.workspaceId,
    rudderId: job.userId,
    receivedAt: new Date(job.receivedAtMs).toISOString(),
    messageId: job.messageId,
    eventName: parameters?.event_name,
    eventType: parameters?.event_type,
    sourceId: parameters?.source_id ?? '',
    originalSourceId: source?.originalId ?? '',
    sourceDefinitionId: source?.sourceDefinition.id,
    sourceName: source?.name ?? '',
    sourceType: source?.sourceDefinition.name ?? '',
    sourceCategory: source?.sourceDefinition.category ?? '',
    sourceJobRunId: parameters?.source_job_run_id,
    sourceTaskRunId: parameters?.source_task_run_id,
    recordId: recordIdOf(parameters?.record_id),
    traceparent: parameters?.traceparent,
    destinationId: destination.id,
    destinationName: destination.name,
    destinationType: destination.destinationDefinition.name,
    destinationDefinitionId: destination.destinationDefinition.id,
    transformationId: transformation?.id,
    transformationVersionId: transformation?.versionId,
  });
}

/** Of the router's calls (1.4), which tell about attempts instead of names. */
export function routerMetadata(
  { job, parameters, attempts, firstAttemptedAtMs }: TransformerJob,
  source: SourceConfig | undefined,
  destination: DestinationConfig,
  { nowMs, dontBatch, transformAt }: { nowMs: number; dontBatch: boolean; transformAt: 'router' | 'processor' },
): Record<string, unknown> {
  return {
    userId: job.userId,
    jobId: job.jobId,
    sourceId: parameters?.source_id ?? '',
    sourceCategory: source?.sourceDefinition.category ?? '',
    destinationId: destination.id,
    attemptNum: Math.max(0, attempts - 1),
    receivedAt: new Date(job.receivedAtMs).toISOString(),
    createdAt: new Date(job.receivedAtMs).toISOString(),
    firstAttemptedAt: new Date(firstAttemptedAtMs).toISOString(),
    transformAt,
    workspaceId: destination.workspaceId,
    secret: null,
    dontBatch,
    traceparent: parameters?.traceparent,
    workerAssignedTime: new Date(nowMs).toISOString(),
  };
}

function recordIdOf(text: string | undefined): unknown {
  return text === undefined ? undefined : JSON.parse(text);
}
