// Every scenario there is, in the order of an event's way.

import { backlog } from './backlog.ts';
import { connections } from './connections.ts';
import { density } from './density.ts';
import { fanout } from './fanout.ts';
import type { Scenario } from './harness/scenario.ts';
import { ingest } from './ingest.ts';
import { isolation } from './isolation.ts';
import { messaging } from './messaging.ts';
import { noisy } from './noisy.ts';
import { overload } from './overload.ts';
import { pipeline } from './pipeline.ts';
import { processor } from './processor.ts';
import { router } from './router.ts';
import { scheduling } from './scheduling.ts';
import { soak } from './soak.ts';
import { start } from './start.ts';
import { storage } from './storage.ts';

export const scenarios: readonly Scenario[] = [
  messaging,
  scheduling,
  storage,
  ingest,
  processor,
  router,
  pipeline,
  isolation,
  fanout,
  backlog,
  noisy,
  density,
  connections,
  overload,
  start,
  soak,
];
