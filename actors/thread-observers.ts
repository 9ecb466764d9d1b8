// Who looks on at the events of a thread: put together here, so that the stages need to know only what they tell.

import { archiveTap } from './archival/archive-tap.ts';
import type { Watched } from './debugger/contract.ts';
import { DeliveryObservers, LiveTap } from './debugger/live-tap.ts';
import type { ThreadObservers } from './environment.ts';
import type { ObservingSettings } from './observations/observing.ts';
import { DeliveryReports } from './reporting/delivery-reports.ts';
import { stageReports } from './reporting/stage-reports.ts';
import { schemaTap } from './schemas/schema-tap.ts';
import type { WorkspaceHolder } from './services/workspace.ts';
import { usersTap } from './tracked-users/users-tap.ts';

export interface WatchingObservers extends ThreadObservers {
  /** For what is broadcast on `watchedTopic`. */
  watch(watched: Watched): void;
}

export function threadObservers(
  workspace: WorkspaceHolder,
  settings: ObservingSettings,
  nowMs: () => number,
): WatchingObservers {
  const live = new LiveTap(workspace, nowMs);
  return {
    deliveries: new DeliveryObservers(new DeliveryReports(workspace, settings), live),
    taps: [
      archiveTap(settings),
      schemaTap(settings),
      stageReports(settings),
      usersTap(settings),
      live.transformationTap(),
    ],
    attach: (process) => live.attach((told) => process.tell(told)),
    watch: (watched) => live.watch(watched),
  };
}
