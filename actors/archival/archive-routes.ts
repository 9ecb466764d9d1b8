// The archives at the admin server: how those of each source stand, and pausing and resuming them.

import { AdminError, type AdminRequest, type AdminRoute } from '../admin/contract.ts';
import type { Controls } from '../controls/contract.ts';
import { type ObservingSettings, observingOf } from '../observations/observing.ts';
import type { WorkspaceHolder } from '../services/workspace.ts';
import type { QueueStats } from '../storage/contract.ts';
import { type ArchiveTold, archiveControlId } from './contract.ts';

const sourcesMax = 1_000;
const reasonCharactersMax = 500;

interface ArchiveState {
  lastKey: string;
  lastAtMs: number;
  objects: number;
  events: number;
  failure: string;
}

/** What the archivers of this process told; a program that starts anew begins anew. */
export class ArchiveStates {
  readonly #states = new Map<string, ArchiveState>();

  note({ sourceId, key, events, failure }: ArchiveTold, nowMs: number): void {
    const known = this.#states.get(sourceId) ?? { lastKey: '', lastAtMs: 0, objects: 0, events: 0, failure: '' };
    const written =
      failure === ''
        ? { lastKey: key, lastAtMs: nowMs, objects: known.objects + 1, events: known.events + events }
        : {};
    this.#states.delete(sourceId);
    this.#states.set(sourceId, { ...known, ...written, failure });
    const [oldest] = this.#states.keys();
    if (this.#states.size > sourcesMax && oldest !== undefined) this.#states.delete(oldest);
  }

  of(sourceId: string): ArchiveState | undefined {
    return this.#states.get(sourceId);
  }
}

export interface ArchiveRoutesOptions {
  states: ArchiveStates;
  workspace: WorkspaceHolder;
  settings: ObservingSettings;
  controls: {
    readonly current: Controls;
    pause(id: string, reason: string): Promise<void>;
    resume(id: string): Promise<boolean>;
  };
  queues(): Promise<readonly QueueStats[]>;
}

export function archiveRoutes(options: ArchiveRoutesOptions): AdminRoute[] {
  const { controls } = options;
  return [
    {
      method: 'GET',
      path: '/archives',
      doc: 'the sources that are archived, what waits for it, and what was written last',
      handle: async () => ({ status: 200, json: { archives: await listOf(options) } }),
    },
    {
      method: 'POST',
      path: '/archives/:sourceId/pause',
      doc: 'writes nothing of a source until it is resumed; its events wait; body: {"reason"}',
      handle: async (request) => {
        const sourceId = sourceIdOf(options, request);
        const { reason = '' } = (await request.json()) as { reason?: unknown };
        if (typeof reason !== 'string' || reason.length > reasonCharactersMax) {
          throw new AdminError(400, `expected reason to be a text of at most ${reasonCharactersMax} characters`);
        }
        await controls.pause(archiveControlId(sourceId), reason);
        return { status: 200, json: { sourceId, state: 'paused' } };
      },
    },
    {
      method: 'POST',
      path: '/archives/:sourceId/resume',
      doc: 'ends a pause',
      handle: async ({ params: { sourceId = '' } }) => ({
        status: 200,
        json: { sourceId, wasPaused: await controls.resume(archiveControlId(sourceId)) },
      }),
    },
  ];
}

async function listOf({ states, workspace, settings, controls, queues }: ArchiveRoutesOptions) {
  const waiting = (await queues()).find(({ queue }) => queue === 'arc')?.partitions ?? [];
  const pending = new Map(waiting.map((one) => [one.partition, one.pending]));
  const paused = new Set(controls.current.paused.map(({ destinationId }) => destinationId));
  const sources = workspace.current.snapshot.sources.filter((source) => observingOf(source, settings).archive);
  const ids = new Set([...sources.map(({ id }) => id), ...pending.keys()]);
  return [...ids].slice(0, sourcesMax).map((sourceId) => {
    const { failure = '', ...written } = states.of(sourceId) ?? {};
    const state = paused.has(archiveControlId(sourceId)) ? 'paused' : failure === '' ? 'working' : 'failing';
    return { sourceId, state, pending: pending.get(sourceId) ?? 0, ...written, ...(failure === '' ? {} : { failure }) };
  });
}

function sourceIdOf({ workspace }: ArchiveRoutesOptions, { params: { sourceId = '' } }: AdminRequest): string {
  if (workspace.current.sourceById(sourceId) !== undefined) return sourceId;
  throw new AdminError(404, 'expected the id of a source, got another');
}
