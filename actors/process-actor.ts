// The process as an actor on the main thread: where other threads tell what concerns the whole program.

import { type ActorDefinition, defineActor } from '../runtime/index.ts';
import type { ArchiveTold } from './archival/contract.ts';
import type { LiveTold } from './debugger/contract.ts';

export const processKind = 'process';
/** There is one per process. */
export const processKey = 'main';

/** A router found out whether a destination answers. */
export interface DestinationFound {
  kind: 'destinationFound';
  destinationId: string;
  isDown: boolean;
  reason: string;
}

/** What other threads tell; the rest of it is the contracts' of those who tell. */
export type ProcessMessage = DestinationFound | ArchiveTold | LiveTold;

export interface ProcessHandlers {
  onDestinationFound(found: DestinationFound): void;
  onArchiveTold?(told: ArchiveTold): void;
  onLiveTold?(told: LiveTold): void;
}

export function processDefinition(handlers: ProcessHandlers): ActorDefinition<ProcessMessage> {
  return defineActor<ProcessMessage>({
    kind: processKind,
    role: 'main',
    priority: 'interactive',
    idleMs: 0,
    create: () => ({
      onMessage(message) {
        if (message.kind === 'destinationFound') handlers.onDestinationFound(message);
        else if (message.kind === 'archiveTold') handlers.onArchiveTold?.(message);
        else handlers.onLiveTold?.(message);
      },
    }),
  });
}
