// Enrichers that an operator brings along: modules named in settings, loaded when a thread starts. They are trusted code.
// What one throws is counted and the event goes on as it is then: an enricher never costs an event.

import { pathToFileURL } from 'node:url';
import { type EventObject, isObject } from '../destinations/destination.ts';
import type { SourceConfig } from '../services/workspace.ts';
import type { StageFactory } from './stage.ts';

/** Changes the event it is given, at once. `false`: nothing was changed. */
export type Enrich = (event: EventObject, about: { messageId: string; receivedAtMs: number }) => unknown;

/** What a plug-in's module exports. Called once per source and configuration; undefined: not for this source. */
export interface EnricherModule {
  createEnricher(source: Pick<SourceConfig, 'id' | 'name' | 'workspaceId' | 'config'>): Enrich | undefined;
}

export async function loadEnricher(path: string): Promise<EnricherModule> {
  const loaded: unknown = await import(pathToFileURL(path).href);
  if (isEnricherModule(loaded)) return loaded;
  throw new TypeError(`expected ${path} to export a function createEnricher`);
}

function isEnricherModule(value: unknown): value is EnricherModule {
  return isObject(value) && typeof value.createEnricher === 'function';
}

export function plugInStage(module: EnricherModule, failed: (error: unknown) => void): StageFactory {
  return ({ id, name, workspaceId, config }) => {
    let enrich: Enrich | undefined;
    try {
      enrich = module.createEnricher({ id, name, workspaceId, config });
    } catch (error) {
      failed(error);
    }
    if (enrich === undefined) return undefined;
    const run = enrich;
    return (inHand) => {
      const { messageId, receivedAtMs } = inHand.handed.job;
      let isChanged = true;
      try {
        isChanged = run(inHand.event, { messageId, receivedAtMs }) !== false;
      } catch (error) {
        failed(error);
      }
      if (isChanged) inHand.rewritten();
      return undefined;
    };
  };
}
