// The transformation of a destination, worked out once per configuration change: whom to ask, and what every event of
// the destination tells about it besides itself.

import { createHash } from 'node:crypto';
import type { Settings } from '../config.ts';
import type { DestinationConfig, SourceConfig, TransformationConfig } from '../services/workspace.ts';
import type { TransformationProgram, TransformFailure } from '../transformations/contract.ts';

/** Of the settings. */
export type RemoteTransformations = Pick<
  Settings['transformer'],
  'url' | 'userUrl' | 'pythonUrl' | 'userTransformations'
>;

export const noRemoteTransformations: RemoteTransformations = {
  url: '',
  userUrl: '',
  pythonUrl: '',
  userTransformations: 'embedded',
};

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
  transformer: RemoteTransformations,
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
    remoteUrl: remoteUrlOf(first, transformer),
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

/** Code that stands in the workspace itself has no version by which the service could ask for it. */
function remoteUrlOf({ language, versionId }: TransformationConfig, transformer: RemoteTransformations): string {
  const { url, userUrl, pythonUrl, userTransformations } = transformer;
  if (versionId === '') return '';
  const usual = userUrl === '' ? url : userUrl;
  if (/^python/.test(language)) return pythonUrl === '' ? usual : pythonUrl;
  return language !== 'javascript' || userTransformations === 'remote' ? usual : '';
}

function refusalOf({ language, versionId, code, remoteUrl }: TransformationProgram): TransformFailure | undefined {
  if (remoteUrl !== '') return undefined;
  if (language !== 'javascript') {
    return { code: 400, reason: `transformations in ${language.slice(0, 40)} cannot be run here, only javascript` };
  }
  if (versionId === '' && code === undefined) return { code: 400, reason: 'Transformation VersionID not found' };
  return undefined;
}
