// The shape of one workspace, as zod checks it: which keys we read, their defaults, and how a violation is worded.
// Apart from workspace-file.ts because this is the part that grows with every field of the control plane we use.

import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Limit } from './gcra.ts';
import { sourceOptions, sourceOptionsOf, workspaceSettings } from './source-options.ts';
import type { DestinationConfig, SourceConfig, TransformationConfig, TransformationSetup } from './workspace.ts';
import { keyed, onByDefault, optionalText, orElse, table } from './workspace-keys.ts';
import { observingOf } from './workspace-observing.ts';

export interface WorkspaceFault {
  /** `sources[0].destinations[2].config`; '' for the file as a whole. */
  path: string;
  expected: string;
  got: string;
}

/** One workspace as found in the file, and where: paths of its faults begin with `path`. */
export interface WorkspaceEntry {
  path: string;
  content: unknown;
  /** Id by the key of a map of workspaces; undefined in the other forms. */
  mapKey: string | undefined;
  /** Place of its first source, when `content` holds only some of the workspace's sources. Default 0. */
  firstSource?: number;
}

export interface LocatedSource {
  path: string;
  source: SourceConfig;
}

/** Partition keys are ids, and a partition is at most this long (actors/job.ts). */
const idBytesMax = 255;

/** The sources of one workspace; whatever is wrong with it is added to `faults`. */
export function readWorkspace(entry: WorkspaceEntry, faults: WorkspaceFault[]): LocatedSource[] {
  const result = workspaceSchema.safeParse(entry.content, { reportInput: true });
  const firstSource = entry.firstSource ?? 0;
  if (!result.success) {
    for (const issue of result.error.issues) faults.push(faultOf(issue, entry.path, firstSource));
    return [];
  }
  const workspace = result.data;
  const workspaceId = workspace.workspaceId ?? entry.mapKey;
  const pathOf = (rest: string): string => (entry.path === '' ? rest : `${entry.path}.${rest}`);
  if (workspace.workspaceId !== undefined && entry.mapKey !== undefined && workspace.workspaceId !== entry.mapKey) {
    faults.push({ path: pathOf('workspaceId'), expected: 'the id it is listed under', got: 'another id' });
  }
  return workspace.sources.map((source, index) => {
    const path = pathOf(`sources[${firstSource + index}]`);
    const owner = source.workspaceId ?? workspaceId;
    if (owner === undefined) {
      faults.push({ path: `${path}.workspaceId`, expected: 'a text here or at the workspace', got: 'nothing' });
    } else if (workspaceId !== undefined && owner !== workspaceId) {
      faults.push({
        path: `${path}.workspaceId`,
        expected: `the id of its workspace, ${workspaceId}`,
        got: 'another id',
      });
    }
    for (const [position, destination] of source.destinations.entries()) {
      if (destination.workspaceId === undefined || destination.workspaceId === owner) continue;
      const at = `${path}.destinations[${position}].workspaceId`;
      faults.push({ path: at, expected: 'the id of the workspace of its source', got: 'another id' });
    }
    const observing = observingOf(workspace.settings);
    const own = {
      ...sourceOf(source, owner ?? '', workspace.rateLimit),
      ...sourceOptionsOf(source, workspace.settings),
      ...(observing === undefined ? {} : { observing }),
    };
    return { path, source: { ...withSetup(own, workspace), ...source.sluiceKept } };
  });
}

const idText = z.string().refine((value) => /^\P{C}+$/u.test(value) && Buffer.byteLength(value) <= idBytesMax, {
  error: `a text of 1 to ${idBytesMax} bytes without control characters`,
});
const writeKeyText = idText.refine((value) => !value.includes(':'), {
  error: 'a text without a colon, which Basic authentication could not carry',
});
const optionalId = idText.nullish().transform((value) => value ?? undefined);
const countMax = 1_000_000_000;
const count = z
  .int()
  .min(1)
  .max(countMax, { error: `a whole number from 1 to ${countMax}` });
/** Of events within a window, `{ events, windowMs }`. */
const rateLimit = keyed({ events: count, windowMs: count })
  .nullish()
  .transform((value) => value ?? undefined);

const transformationSchema = keyed({ id: optionalId, versionId: optionalId, language: optionalText, config: table });

const destinationSchema = keyed({
  id: idText,
  name: optionalText,
  enabled: onByDefault,
  workspaceId: optionalId,
  config: table,
  revisionId: optionalText,
  isProcessorEnabled: onByDefault,
  isConnectionEnabled: onByDefault,
  destinationDefinition: keyed({ id: optionalText, name: idText, displayName: optionalText, config: table }),
  transformations: orElse(z.array(transformationSchema), () => []),
});

const sourceSchema = keyed({
  id: idText,
  originalId: optionalText,
  name: optionalText,
  writeKey: writeKeyText,
  enabled: onByDefault,
  workspaceId: optionalId,
  config: table,
  sourceDefinition: keyed({
    id: optionalText,
    name: idText,
    category: optionalText,
    type: optionalText,
    options: table,
  }),
  destinations: orElse(z.array(destinationSchema), () => []),
  rateLimit,
  workspaceRateLimit: rateLimit,
  ...sourceOptions,
});

const workspaceSchema = keyed({
  workspaceId: optionalId,
  rateLimit,
  sources: z.array(sourceSchema),
  settings: workspaceSettings,
  libraries: orElse(
    z.array(keyed({ versionId: optionalId, name: optionalText, handleName: optionalText, code: optionalText })),
    () => [],
  ),
  credentials: orElse(z.record(z.string(), keyed({ key: z.string(), value: z.string() })), () => ({})),
});

function sourceOf(source: z.output<typeof sourceSchema>, workspaceId: string, ofWorkspace?: Limit): SourceConfig {
  const definition = source.sourceDefinition;
  const workspaceRateLimit = source.workspaceRateLimit ?? ofWorkspace;
  return {
    ...(source.rateLimit === undefined ? {} : { rateLimit: source.rateLimit }),
    ...(workspaceRateLimit === undefined ? {} : { workspaceRateLimit }),
    id: source.id,
    name: source.name ?? source.id,
    writeKey: source.writeKey,
    enabled: source.enabled,
    workspaceId,
    config: source.config,
    sourceDefinition: {
      id: definition.id ?? definition.name,
      name: definition.name,
      category: definition.category ?? '',
      type: definition.type ?? '',
    },
    destinations: source.destinations.map((destination) => destinationOf(destination, workspaceId)),
    ...(source.originalId === undefined ? {} : { originalId: source.originalId }),
  };
}

function withSetup(source: SourceConfig, workspace: z.output<typeof workspaceSchema>): SourceConfig {
  if (!source.destinations.some(({ transformations }) => transformations !== undefined)) return source;
  const transformationSetup: TransformationSetup = {
    libraries: workspace.libraries.map(({ versionId, name, handleName, code }) => ({
      name: handleName ?? libraryName(name ?? ''),
      versionId: versionId ?? '',
      ...(code === undefined ? {} : { code }),
    })),
    credentials: Object.fromEntries(Object.values(workspace.credentials).map(({ key, value }) => [key, value])),
  };
  return { ...source, transformationSetup };
}

/** `Math tools` is imported as `mathTools`. */
export function libraryName(name: string): string {
  const words = name.split(/[^\p{L}\p{N}$]+/u).filter((word) => word !== '');
  return words
    .map((word, index) => (index === 0 ? word.charAt(0).toLowerCase() : word.charAt(0).toUpperCase()) + word.slice(1))
    .join('');
}

function transformationOf({
  id,
  versionId,
  language,
  config,
}: z.output<typeof transformationSchema>): TransformationConfig {
  const code = typeof config.code === 'string' ? config.code : undefined;
  const hash = code === undefined ? '' : createHash('sha256').update(code).digest('hex').slice(0, 16);
  return {
    id: id ?? versionId ?? hash,
    versionId: versionId ?? hash,
    language: (language ?? 'javascript').toLowerCase(),
    ...(code === undefined ? {} : { code }),
    ...(config.eventTransform === true ? { isDebugged: true as const } : {}),
  };
}

function destinationOf(destination: z.output<typeof destinationSchema>, workspaceId: string): DestinationConfig {
  const definition = destination.destinationDefinition;
  return {
    id: destination.id,
    name: destination.name ?? destination.id,
    enabled: destination.enabled,
    workspaceId,
    config: destination.config,
    // Whoever caches by revision must see a change even in a file whose author keeps none.
    revisionId:
      destination.revisionId ??
      createHash('sha256').update(JSON.stringify(destination.config)).digest('hex').slice(0, 16),
    isProcessorEnabled: destination.isProcessorEnabled,
    isConnectionEnabled: destination.isConnectionEnabled,
    destinationDefinition: {
      id: definition.id ?? definition.name,
      name: definition.name,
      displayName: definition.displayName ?? definition.name,
      config: definition.config,
    },
    ...(destination.transformations.length === 0
      ? {}
      : { transformations: destination.transformations.map(transformationOf) }),
  };
}

const expectedByType: Readonly<Record<string, string>> = {
  string: 'a text',
  boolean: 'true or false',
  object: 'a table',
  record: 'a table',
  array: 'a list',
};

function faultOf(issue: z.core.$ZodIssue, prefix: string, firstSource: number): WorkspaceFault {
  let path = prefix;
  for (const [depth, part] of issue.path.entries()) {
    // The place of a source is the first number of its path: `sources[n]`.
    if (typeof part === 'number') path += `[${depth === 1 ? firstSource + part : part}]`;
    else path += path === '' ? String(part) : `.${String(part)}`;
  }
  const expected = issue.code === 'invalid_type' ? (expectedByType[issue.expected] ?? issue.expected) : issue.message;
  return { path, expected, got: kindOf(issue.input) };
}

function kindOf(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (value === '') return 'an empty text';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a table';
  return typeof value === 'string' ? `a text of ${value.length} characters` : `a ${typeof value}`;
}
