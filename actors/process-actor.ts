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

export function processDefinition(onFailed: (reason: string) => void): ActorDefinition<ProcessFailed> {
  return defineActor<ProcessFailed>({
    kind: processKind,
    role: 'main',
    priority: 'interactive',
    idleMs: 0,
    create: () => ({ onMessage: (message) => onFailed(message.reason) }),
  });
}
