// Workspace configuration as objects, for tests of the pipeline that need no file.

import type { EventObject } from '../../actors/destinations/destination.ts';
import {
  type CompiledFilter,
  type FilterVerdict,
  filterType,
  gateEvent,
} from '../../actors/processor/destination-filter.ts';
import type { DestinationConfig, SourceConfig, WorkspaceSnapshot } from '../../actors/services/workspace.ts';

export function makeDestination(id: string, changes: Partial<DestinationConfig> = {}): DestinationConfig {
  return {
    id,
    name: id,
    enabled: true,
    workspaceId: 'ws-1',
    config: { webhookUrl: `http://127.0.0.1:9/${id}` },
    revisionId: 'rev-1',
    isProcessorEnabled: true,
    isConnectionEnabled: true,
    destinationDefinition: { id: 'dd-webhook', name: 'WEBHOOK', displayName: 'Webhook', config: {} },
    ...changes,
  };
}

export function makeSource(id: string, destinations: DestinationConfig[]): SourceConfig {
  return {
    id,
    name: id,
    writeKey: `wk-${id}`,
    enabled: true,
    workspaceId: 'ws-1',
    config: {},
    sourceDefinition: { id: 'sd-http', name: 'HTTP', category: '', type: 'cloud' },
    destinations,
  };
}

export function makeSnapshot(sources: SourceConfig[], version = 1): WorkspaceSnapshot {
  return { version, hash: `hash-${version}`, loadedAtMs: 0, sources };
}

/** Both halves, as for a destination without a transformation. Undefined: the event goes to this destination. */
export function filterEvent(filter: CompiledFilter, event: EventObject): FilterVerdict {
  return gateEvent(filter, event) ?? filterType(filter, event);
}
