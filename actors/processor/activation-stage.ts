// Reverse ETL marks its events for billing; what it writes there is not for destinations (spec/ingest.md 4.2).

import { isObject } from '../destinations/destination.ts';
import type { SourceConfig } from '../services/workspace.ts';
import type { Stage } from './stage.ts';

export function activationStage({ sourceDefinition }: SourceConfig): Stage | undefined {
  if (sourceDefinition.category !== 'warehouse') return undefined;
  return (inHand) => {
    const context = inHand.event.context;
    if (!isObject(context) || !isObject(context.activation)) return undefined;
    const { fingerprint, origin, ...activation } = context.activation;
    if (fingerprint === undefined && origin === undefined) return undefined;
    inHand.contextToChange().activation = activation;
    return undefined;
  };
}
