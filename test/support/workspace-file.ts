// Workspace files for tests, in the shape the program reads: sources with write keys, each with its destinations.

import { renameSync, writeFileSync } from 'node:fs';

export interface DestinationSpec {
  id: string;
  url: string;
  enabled?: boolean;
  /** Default: all there are. */
  messageTypes?: readonly string[];
  /** Code of its transformation. */
  code?: string;
  /** Name of its definition; default: WEBHOOK. */
  type?: string;
  /** More of its `config`. */
  config?: Record<string, unknown>;
}

export interface SourceSpec {
  id: string;
  writeKey: string;
  /** Default: all sources in one workspace. */
  workspaceId?: string;
  enabled?: boolean;
  /** More of its keys. */
  options?: Record<string, unknown>;
  /** Of its whole workspace; that of its first source counts. */
  settings?: Record<string, unknown>;
  destinations: DestinationSpec[];
}

const messageTypes = ['identify', 'track', 'page', 'screen', 'group', 'alias'];

const defaultWorkspace = 'ws-test';

export function workspaceText(sources: readonly SourceSpec[]): string {
  const ids = [...new Set(sources.map(({ workspaceId = defaultWorkspace }) => workspaceId))];
  const workspaces = ids.map((id) => {
    const own = sources.filter(({ workspaceId = defaultWorkspace }) => workspaceId === id);
    return [id, workspaceOf(id, own)] as const;
  });
  const [only] = workspaces;
  return JSON.stringify(workspaces.length === 1 ? only?.[1] : Object.fromEntries(workspaces), null, 2);
}

function workspaceOf(workspaceId: string, sources: readonly SourceSpec[]): Record<string, unknown> {
  return {
    workspaceId,
    enableMetrics: false,
    updatedAt: '2026-01-01T00:00:00.000Z',
    ...(sources[0]?.settings === undefined ? {} : { settings: sources[0].settings }),
    sources: sources.map((source) => ({
      id: source.id,
      name: source.id,
      writeKey: source.writeKey,
      enabled: source.enabled ?? true,
      workspaceId,
      config: {},
      sourceDefinition: { id: 'sd-node', name: 'Node', category: '', type: 'cloud' },
      destinations: source.destinations.map((destination) => webhook(workspaceId, destination)),
      ...source.options,
    })),
  };
}

/** Appears whole: whoever watches the file must never see half of it. */
export function writeWorkspace(path: string, sources: readonly SourceSpec[]): void {
  replaceFile(path, workspaceText(sources));
}

export function replaceFile(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

function webhook(
  workspaceId: string,
  { id, url, enabled, messageTypes: types, code, config, type = 'WEBHOOK' }: DestinationSpec,
): Record<string, unknown> {
  return {
    id,
    name: id,
    enabled: enabled ?? true,
    workspaceId,
    revisionId: 'rev-1',
    isProcessorEnabled: true,
    isConnectionEnabled: true,
    config: { webhookUrl: url, webhookMethod: 'POST', headers: [{ from: 'x-test', to: 'sluice' }], ...config },
    transformations: code === undefined ? [] : [{ id: `tr-${id}`, config: { code } }],
    destinationDefinition: {
      id: 'dd-webhook',
      name: type,
      displayName: 'Webhook',
      config: {
        transformAtV1: 'processor',
        saveDestinationResponse: false,
        supportedMessageTypes: types ?? messageTypes,
      },
    },
  };
}
