// The process as an actor on the main thread: where other threads tell what concerns the whole program.

import { type ActorDefinition, defineActor } from '../runtime/index.ts';

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

export interface ProcessHandlers {
  onDestinationFound(found: DestinationFound): void;
}

export function processDefinition(handlers: ProcessHandlers): ActorDefinition<DestinationFound> {
  return defineActor<DestinationFound>({
    kind: processKind,
    role: 'main',
    priority: 'interactive',
    idleMs: 0,
    create: () => ({ onMessage: (message) => handlers.onDestinationFound(message) }),
  });
}
