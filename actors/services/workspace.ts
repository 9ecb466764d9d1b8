// The workspace configuration as the pipeline uses it: plain data that crosses threads, and an index over it.
// Shape and names follow spec/transformer-and-clients.md 7.2; the file reader (backend-config.ts) makes a snapshot,
// main broadcasts it, and every thread holds the newest one.

import type { Limit } from './gcra.ts';

export interface TransformationConfig {
  id: string;
  /** '' when the configuration names none. */
  versionId: string;
  language: string;
  /** Undefined: the control plane has it, by version. */
  code?: string;
  /** What it does is shown in the control plane. */
  isDebugged?: true;
}

/** What the code of transformations may use; the same for all of a workspace. */
export interface TransformationSetup {
  libraries: { name: string; versionId: string; code?: string }[];
  credentials: Record<string, string>;
}

export interface DestinationConfig {
  id: string;
  name: string;
  enabled: boolean;
  workspaceId: string;
  /** Destination settings as the workspace file holds them, e.g. `webhookUrl`. */
  config: Record<string, unknown>;
  revisionId: string;
  /** False: device mode, never delivered by us. */
  isProcessorEnabled: boolean;
  /** False: the connection between source and destination is switched off. */
  isConnectionEnabled: boolean;
  destinationDefinition: { id: string; name: string; displayName: string; config: Record<string, unknown> };
  /** Absent: none. Only the first one runs. */
  transformations?: TransformationConfig[];
}

/** Where files go: the destination type of an object store (`S3`, `GCS` …) and its `config`. */
export interface BucketConfig {
  type: string;
  config: Record<string, unknown>;
}

/** What a workspace wants to be told, or kept, beside its deliveries. Absent: as the settings say. */
export interface ObservingConfig {
  reports?: boolean;
  /** False: neither events nor answers of destinations stand in reports as examples. */
  reportSamples?: boolean;
  trackedUsers?: boolean;
  eventSchemas?: boolean;
  archive?: boolean;
  /** The workspace's own. */
  archiveBucket?: BucketConfig;
}

/** What a source asks of the processor; absent: it does not. */
export interface SourceOptions {
  /** Its events are nowhere kept beside the main path: no examples, no schemas, no archive. */
  transient?: true;
  geoEnrichment?: boolean;
  trackingPlan?: TrackingPlanConfig;
  /** Of its workspace: names by event type that are dropped. */
  blockedEvents?: Record<string, string[]>;
  /** Its events are completed by the transformer first. */
  hydration?: { internalSecret: unknown };
}

export interface TrackingPlanConfig {
  id: string;
  version: string;
  /** What is done about violations: `global`, and by event type. */
  config: Record<string, unknown>;
  /** The same for all types, worked out by the control plane. */
  mergedConfig: Record<string, unknown>;
  /** `{name, eventType, rules}` each; absent: only the control plane has them. */
  events?: unknown[];
}

export interface SourceConfig extends SourceOptions {
  id: string;
  name: string;
  writeKey: string;
  enabled: boolean;
  workspaceId: string;
  config: Record<string, unknown>;
  sourceDefinition: { id: string; name: string; category: string; type: string };
  destinations: DestinationConfig[];
  /** The source whose stored events this one takes again; absent: it is none for replays. */
  originalId?: string;
  /** Of this source; absent: the settings'. */
  rateLimit?: Limit;
  /** Of its whole workspace; absent: the settings'. */
  workspaceRateLimit?: Limit;
  /** Only where a destination has a transformation. */
  transformationSetup?: TransformationSetup;
  /** Of its workspace. */
  observing?: ObservingConfig;
}

export interface WorkspaceSnapshot {
  /** Counts up with every accepted change; 1 for the first. */
  version: number;
  /** SHA-256 of the accepted content, hex. */
  hash: string;
  loadedAtMs: number;
  sources: SourceConfig[];
}

export const workspaceTopic = 'workspace';

/**
 * What makes version `version` of version `from`, in `parts` pieces of few sources each, so that no thread stands still
 * for a large one. All of it counts once the last piece is there.
 */
export interface WorkspaceChange {
  from: number;
  version: number;
  hash: string;
  loadedAtMs: number;
  /** 0 to `parts` - 1. */
  part: number;
  parts: number;
  /** New and changed ones. */
  sources: SourceConfig[];
  removedSourceIds: string[];
}

export type WorkspaceMessage = { whole: WorkspaceSnapshot } | { piece: WorkspaceChange };

/** Look-ups over one snapshot. Built once per thread and change. */
export class WorkspaceIndex {
  readonly snapshot: WorkspaceSnapshot;
  readonly #sourceByWriteKey = new Map<string, SourceConfig>();
  readonly #sourceById = new Map<string, SourceConfig>();
  readonly #destinationById = new Map<string, DestinationConfig>();
  readonly #workspaceIds = new Set<string>();

  constructor(snapshot: WorkspaceSnapshot) {
    this.snapshot = snapshot;
    for (const source of snapshot.sources) {
      this.#sourceByWriteKey.set(source.writeKey, source);
      this.#sourceById.set(source.id, source);
      this.#workspaceIds.add(source.workspaceId);
      for (const destination of source.destinations) this.#destinationById.set(destination.id, destination);
    }
  }

  sourceByWriteKey(writeKey: string): SourceConfig | undefined {
    return this.#sourceByWriteKey.get(writeKey);
  }

  sourceById(sourceId: string): SourceConfig | undefined {
    return this.#sourceById.get(sourceId);
  }

  destinationById(destinationId: string): DestinationConfig | undefined {
    return this.#destinationById.get(destinationId);
  }

  hasWorkspace(workspaceId: string): boolean {
    return this.#workspaceIds.has(workspaceId);
  }
}

/** The newest index of this thread. Actors read it for every batch and never keep it across messages. */
export class WorkspaceHolder {
  #current = new WorkspaceIndex({ version: 0, hash: '', loadedAtMs: 0, sources: [] });
  #pieces: WorkspaceChange[] = [];

  get current(): WorkspaceIndex {
    return this.#current;
  }

  publish(snapshot: WorkspaceSnapshot): void {
    if (snapshot.version > this.#current.snapshot.version) this.#current = new WorkspaceIndex(snapshot);
  }

  /** What a broadcast on `workspaceTopic` holds. Throws when a piece cannot be used: the sender then sends the whole. */
  take(message: WorkspaceMessage): void {
    if ('whole' in message) this.publish(message.whole);
    else this.#apply(message.piece);
  }

  #apply(piece: WorkspaceChange): void {
    if (piece.version <= this.#current.snapshot.version) return;
    if (piece.part === 0) this.#pieces = [];
    this.#pieces.push(piece);
    if (piece.part < piece.parts - 1) return;
    const pieces = this.#pieces;
    this.#pieces = [];
    const isWhole = pieces.length === piece.parts && pieces.every(({ version }) => version === piece.version);
    if (!isWhole || piece.from !== this.#current.snapshot.version) {
      throw new RangeError(
        `expected all pieces from version ${this.#current.snapshot.version}, got from ${piece.from}`,
      );
    }
    this.publish(changedSnapshot(this.#current.snapshot, pieces));
  }
}

function changedSnapshot(base: WorkspaceSnapshot, pieces: readonly WorkspaceChange[]): WorkspaceSnapshot {
  const sources = new Map(base.sources.map((source) => [source.id, source]));
  for (const piece of pieces) {
    for (const id of piece.removedSourceIds) sources.delete(id);
    for (const source of piece.sources) sources.set(source.id, source);
  }
  const { version = 0, hash = '', loadedAtMs = 0 } = pieces[0] ?? {};
  return { version, hash, loadedAtMs, sources: [...sources.values()] };
}
