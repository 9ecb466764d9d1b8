// Who looks on at the events of a thread: put together here, so that the stages need to know only what they tell.

import { archiveTap } from './archival/archive-tap.ts';
import type { ThreadObservers } from './environment.ts';
import type { ObservingSettings } from './observations/observing.ts';
import { DeliveryReports } from './reporting/delivery-reports.ts';
import { stageReports } from './reporting/stage-reports.ts';
import { schemaTap } from './schemas/schema-tap.ts';
import type { WorkspaceHolder } from './services/workspace.ts';
import { usersTap } from './tracked-users/users-tap.ts';

export function threadObservers(workspace: WorkspaceHolder, settings: ObservingSettings): ThreadObservers {
  return {
    deliveries: new DeliveryReports(workspace, settings),
    taps: [archiveTap(settings), schemaTap(settings), stageReports(settings), usersTap(settings)],
  };
}
