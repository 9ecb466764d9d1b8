// Brings new versions of the configuration to all threads: small pieces, one after the other, so that a configuration of
// many thousand sources stalls neither the thread that sends nor those that take it. If a thread cannot follow the
// pieces, because it joined in between or lost one, everybody gets the whole.

import type { ActorLog } from '../../runtime/index.ts';
import { type SourceConfig, type WorkspaceChange, type WorkspaceSnapshot, workspaceTopic } from './workspace.ts';
import type { WorkspaceSetChange } from './workspace-set.ts';

/** Sources in one piece: cloning it takes each thread a few milliseconds at most. */
const pieceSources = 200;

/** The runtime's broadcast. */
export type Broadcast = (topic: string, value: unknown, lasting?: unknown) => Promise<void>;

export class WorkspaceBroadcast {
  readonly #broadcast: Broadcast;
  readonly #log: ActorLog;
  /** What every thread has; undefined when that is not known. */
  #sent: WorkspaceSnapshot | undefined;
  #sending: Promise<void> = Promise.resolve();

  constructor(broadcast: Broadcast, log: ActorLog) {
    this.#broadcast = broadcast;
    this.#log = log;
  }

  /** Versions are sent one after the other. Resolves when this one is everywhere it could be brought. */
  send(snapshot: WorkspaceSnapshot, change: WorkspaceSetChange | undefined): Promise<void> {
    this.#sending = this.#sending.then(() => this.#sendNow(snapshot, change));
    return this.#sending;
  }

  async #sendNow(snapshot: WorkspaceSnapshot, change: WorkspaceSetChange | undefined): Promise<void> {
    try {
      const from = this.#sent;
      this.#sent = undefined;
      if (change === undefined || from === undefined || from.version !== snapshot.version - 1) {
        await this.#broadcast(workspaceTopic, { whole: snapshot });
      } else await this.#sendPieces(from, snapshot, change);
      this.#sent = snapshot;
    } catch (error) {
      this.#log.error({ error }, 'a thread did not take the new workspace; it gets it with the next one');
    }
  }

  async #sendPieces(from: WorkspaceSnapshot, snapshot: WorkspaceSnapshot, change: WorkspaceSetChange): Promise<void> {
    const pieces = piecesOf(from.version, snapshot, change);
    try {
      for (const piece of pieces) {
        const isLast = piece.part === piece.parts - 1;
        await this.#broadcast(workspaceTopic, { piece }, { whole: isLast ? snapshot : from });
      }
    } catch (error) {
      this.#log.warn({ error }, 'a thread could not follow a change of the workspace; all get the whole');
      await this.#broadcast(workspaceTopic, { whole: snapshot });
    }
  }
}

function piecesOf(from: number, snapshot: WorkspaceSnapshot, change: WorkspaceSetChange): WorkspaceChange[] {
  const { version, hash, loadedAtMs } = snapshot;
  const parts = Math.max(1, Math.ceil(change.sources.length / pieceSources));
  const pieces: WorkspaceChange[] = [];
  for (let part = 0; part < parts; part += 1) {
    const sources: SourceConfig[] = change.sources.slice(part * pieceSources, (part + 1) * pieceSources);
    const removedSourceIds = part === 0 ? change.removedSourceIds : [];
    pieces.push({ from, version, hash, loadedAtMs, part, parts, sources, removedSourceIds });
  }
  return pieces;
}
