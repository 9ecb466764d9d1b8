// The stages of a source's events, in the order in which events go through them. Each stands in a file of its own, looks
// at the source's configuration once, and is left out where there is nothing for it to do.

import type { Environment } from '../environment.ts';
import { activationStage } from './activation-stage.ts';
import { agentStage } from './agent-stage.ts';
import { blockingStage } from './blocking-stage.ts';
import { botStage } from './bot-stage.ts';
import { drainStage } from './drain-stage.ts';
import type { Enrichers } from './enrichers.ts';
import { geoStage } from './geo-stage.ts';
import { planStage } from './plan-stage.ts';
import { plugInStage } from './plug-in-stage.ts';
import type { StageFactory } from './stage.ts';

export interface StageParts extends Pick<Environment, 'settings' | 'controls'> {
  enrichers: Enrichers;
  /** Of a plug-in. */
  enricherFailed(error: unknown): void;
  /** Rules of a tracking plan that cannot be used. */
  planProblem(sourceId: string, problem: string): void;
}

export function processorStages({ settings, controls, enrichers, ...told }: StageParts): StageFactory[] {
  const { bots, userAgent, geoSources } = settings.enrichment;
  const drain = drainStage(controls);
  const bot = botStage(bots);
  const agent = userAgent ? agentStage() : undefined;
  const stages: StageFactory[] = [() => drain, () => bot, blockingStage, activationStage];
  if (enrichers.geo !== undefined) stages.push(geoStage(enrichers.geo, geoSources === 'all'));
  if (agent !== undefined) stages.push(() => agent);
  for (const module of enrichers.plugIns) stages.push(plugInStage(module, told.enricherFailed));
  stages.push((source) => planStage(source, (problem) => told.planProblem(source.id, problem)));
  return stages;
}
