// What a browser SDK asks for before it sends anything. Destinations listed there would be loaded into the page (device
// mode); all of ours are delivered from here, so the list is empty.

import type { SourceConfig } from '../services/workspace.ts';
import { type Answer, jsonAnswer } from './answers.ts';

export function sourceConfigAnswer(source: SourceConfig, loadedAtMs: number): Answer {
  const updatedAt = new Date(loadedAtMs).toISOString();
  const off = { enabled: false };
  return jsonAnswer({
    source: {
      id: source.id,
      name: source.name,
      writeKey: source.writeKey,
      enabled: source.enabled,
      workspaceId: source.workspaceId,
      config: { ...configForPages(source), statsCollection: { errors: off, metrics: off } },
      connections: [],
      destinations: [],
      dataplanes: {},
      updatedAt,
    },
    updatedAt,
    consentManagementMetadata: {},
  });
}

/** The SDK reads nothing else of it, and a source's settings may hold what no page shall see. */
function configForPages(source: SourceConfig): Record<string, unknown> {
  const { eventUpload } = source.config;
  return typeof eventUpload === 'boolean' ? { eventUpload } : {};
}
