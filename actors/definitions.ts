// Every actor type of the product and the thread role that hosts it.

import type { ActorDefinition } from '../runtime/index.ts';
import { archiverDefinition } from './archival/archiver-actor.ts';
import { archiverKind } from './archival/contract.ts';
import type { Environment } from './environment.ts';
import { processKind } from './process-actor.ts';
import { processorDefinition } from './processor/processor-actor.ts';
import { routerDefinition } from './router/router-actor.ts';
import { leaseKind, storageKind } from './storage/contract.ts';
import { leaseDefinition } from './storage/lease-actor.ts';
import { storageDefinition } from './storage/storage-actor.ts';
import { suspectKind, transformationKind } from './transformations/contract.ts';
import { transformationDefinition } from './transformations/transformation-actor.ts';

/** Roles of the threads: see design section 7.1. */
export const roles: Readonly<Record<string, string>> = {
  [processKind]: 'main',
  [storageKind]: 'storage',
  [leaseKind]: 'storage',
  processor: 'actors',
  router: 'actors',
  [archiverKind]: 'actors',
  [transformationKind]: 'sandbox',
  [suspectKind]: 'suspects',
};

/** The definitions a thread of `role` hosts. */
export function definitionsFor(role: string, environment: Environment): ActorDefinition<never>[] {
  switch (role) {
    case 'storage':
      return [storageDefinition(environment), leaseDefinition(environment)];
    case 'actors':
      return [processorDefinition(environment), routerDefinition(environment), archiverDefinition(environment)];
    case 'sandbox':
      return [transformationDefinition(environment, transformationKind)];
    case 'suspects':
      return [transformationDefinition(environment, suspectKind)];
    default:
      return [];
  }
}
