// What is told and kept of each source beside its deliveries, worked out once for every version of the configuration:
// the workspace's own word, else the settings. A stage asks it once for a batch; a source of which nothing is wanted
// costs one look-up.

import type { Settings } from '../config.ts';
import type { SourceConfig, WorkspaceIndex } from '../services/workspace.ts';

export interface Observing {
  reports: boolean;
  /** Examples of events and answers in reports. */
  examples: boolean;
  schemas: boolean;
  users: boolean;
  archive: boolean;
}

export type ObservingSettings = Pick<Settings, 'reporting' | 'trackedUsers' | 'eventSchemas' | 'archival'>;

const nothing: Observing = Object.freeze({
  reports: false,
  examples: false,
  schemas: false,
  users: false,
  archive: false,
});

export function observingOf(source: SourceConfig, settings: ObservingSettings): Observing {
  const { observing, transient } = source;
  const isKept = transient !== true;
  const hasBucket = observing?.archiveBucket !== undefined || settings.archival.storage !== 'none';
  return {
    reports: observing?.reports ?? settings.reporting.enabled,
    examples: isKept && (observing?.reportSamples ?? true),
    schemas: isKept && (observing?.eventSchemas ?? settings.eventSchemas.enabled),
    users: observing?.trackedUsers ?? settings.trackedUsers.enabled,
    archive: isKept && hasBucket && observing?.archive === true,
  };
}

/** One for each thread and kind of actor. */
export class ObservedSources {
  readonly #settings: ObservingSettings;
  readonly #bySource = new Map<string, Observing>();
  #index: WorkspaceIndex | undefined;
  #isAny = false;

  constructor(settings: ObservingSettings) {
    this.#settings = settings;
  }

  /** False: nothing is wanted of any source, and nobody need ask further. */
  isAny(index: WorkspaceIndex): boolean {
    if (index !== this.#index) this.#read(index);
    return this.#isAny;
  }

  of(index: WorkspaceIndex, sourceId: string): Observing {
    if (index !== this.#index) this.#read(index);
    return this.#bySource.get(sourceId) ?? nothing;
  }

  #read(index: WorkspaceIndex): void {
    this.#index = index;
    this.#bySource.clear();
    for (const source of index.snapshot.sources) {
      const observing = observingOf(source, this.#settings);
      const { reports, schemas, users, archive } = observing;
      if (reports || schemas || users || archive) this.#bySource.set(source.id, observing);
    }
    this.#isAny = this.#bySource.size > 0;
  }
}
