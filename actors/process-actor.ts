// The process as an actor on the main thread: where other threads tell what concerns the whole program.

import { type ActorDefinition, defineActor } from '../runtime/index.ts';

export const processKind = 'process';
/** There is one per process. */
export const processKey = 'main';

/** Something after which this process must not go on, e.g. another one took its lane over. */
export interface ProcessFailed {
  kind: 'processFailed';
  reason: string;
}

/** A router found out whether a destination answers. */
export interface DestinationFound {
  kind: 'destinationFound';
  destinationId: string;
  isDown: boolean;
  reason: string;
}

export type ProcessMessage = ProcessFailed | DestinationFound;

export interface ProcessHandlers {
  onFailed(reason: string): void;
  onDestinationFound(found: DestinationFound): void;
}

export function processDefinition(handlers: ProcessHandlers): ActorDefinition<ProcessMessage> {
  return defineActor<ProcessMessage>({
    kind: processKind,
    role: 'main',
    priority: 'interactive',
    idleMs: 0,
    create: () => ({
      onMessage: (message) => {
        if (message.kind === 'processFailed') handlers.onFailed(message.reason);
        else handlers.onDestinationFound(message);
      },
    }),
  });
}
