// The transformation of a destination, worked out once per configuration change: whom to ask, and what every event of
// the destination tells about it besides itself.

import { createHash } from 'node:crypto';
import type { DestinationConfig, SourceConfig } from '../services/workspace.ts';
import type { TransformationProgram, TransformFailure } from '../transformations/contract.ts';

export interface RouteTransformation {
  /** Of the actor. Everything that decides what the code does is in it: a change makes another actor. */
  readonly key: string;
  readonly program: TransformationProgram;
  /** `metadata(event)` as JSON, open at the end. */
  readonly metadataPrefix: string;
  /** Set: no event can be transformed, and why. */
  readonly refusal: TransformFailure | undefined;
}

export function routeTransformation(
  source: SourceConfig,
  destination: DestinationConfig,
): RouteTransformation | undefined {
  const [first] = destination.transformations ?? [];
  if (first === undefined) return undefined;
  const { libraries = [], credentials = {} } = source.transformationSetup ?? {};
  const program: TransformationProgram = {
    workspaceId: source.workspaceId,
    transformationId: first.id,
    versionId: first.versionId,
    language: first.language,
    code: first.code,
    libraries: libraries.map(({ name, versionId, code }) => ({ name, versionId, code })),
    credentials,
  };
  const digest = createHash('sha256').update(JSON.stringify(program)).digest('hex').slice(0, 24);
  const metadata = {
    sourceId: source.id,
    sourceName: source.name,
    sourceType: source.sourceDefinition.name,
    sourceCategory: source.sourceDefinition.category,
    sourceDefinitionId: source.sourceDefinition.id,
    originalSourceId: source.originalId,
    workspaceId: source.workspaceId,
    destinationId: destination.id,
    destinationName: destination.name,
    destinationType: destination.destinationDefinition.name,
    destinationDefinitionId: destination.destinationDefinition.id,
    transformationId: first.id,
    transformationVersionId: first.versionId,
  };
  return {
    key: `${first.versionId}:${digest}`,
    program,
    metadataPrefix: JSON.stringify(metadata).slice(0, -1),
    refusal: refusalOf(program),
  };
}

function refusalOf({ language, versionId, code }: TransformationProgram): TransformFailure | undefined {
  if (language !== 'javascript') {
    return { code: 400, reason: `transformations in ${language.slice(0, 40)} cannot be run here, only javascript` };
  }
  if (versionId === '' && code === undefined) return { code: 400, reason: 'Transformation VersionID not found' };
  return undefined;
}
