// The metrics of reports, in the words and the shape of the field (spec/delivery.md 4): at which place of the pipeline
// how many events ended in which state, with an example. What a place adds here is written with its commit.

import type { RouterParameters } from '../job.ts';
import type { Observation } from '../observations/contract.ts';
import type { JobStatus } from '../storage/contract.ts';

/** Stages that report. `reportedBy` of a report; the one before it in an event's way is its `inReportedBy`. */
export type ReportingStage =
  | 'gateway'
  | 'bot_management'
  | 'event_blocking'
  | 'dedup'
  | 'source_hydration'
  | 'destination_filter'
  | 'tracking_plan_validator'
  | 'user_transformer'
  | 'event_filter'
  | 'dest_transformer'
  | 'router'
  | 'batch_router'
  | 'warehouse';

/** States of jobs, and: `diff`, what came out of a stage less what went in. */
export type ReportedState =
  | 'succeeded'
  | 'failed'
  | 'aborted'
  | 'filtered'
  | 'diff'
  | 'bot_flagged'
  | 'bot_detected'
  | 'succeeded_with_violations'
  | 'succeeded_without_violations';

/** Where something is reported; names as on the wire. Fields that are '' are left out. */
export interface ReportPlace {
  workspaceId: string;
  sourceId: string;
  sourceDefinitionId: string;
  sourceCategory: string;
  sourceTaskRunId: string;
  sourceJobRunId: string;
  destinationId: string;
  /** The capital is the field's. */
  DestinationDefinitionId: string;
  transformationId: string;
  transformationVersionId: string;
  trackingPlanId: string;
  trackingPlanVersion: number;
  inReportedBy: ReportingStage | '';
  reportedBy: ReportingStage;
  terminalState: boolean;
  initialState: boolean;
}

export interface ReportDetail {
  state: ReportedState;
  statusCode: number;
  eventName: string;
  eventType: string;
  errorType: string;
}

/** Labels of an observation of the topic `report`: what is equal is counted together. */
export type ReportLabels = Partial<ReportPlace> & Partial<ReportDetail>;

/** Sample of an observation of the topic `report`, as JSON. */
export interface ReportSample {
  /** The event as JSON text; '' when there is none to show. */
  event: string;
  /** What was answered. */
  response: string;
}

/** One job of a commit of the router. */
export interface DeliveredJob {
  parameters: Omit<RouterParameters, 'request'> | undefined;
  destinationId: string;
  receivedAtMs: number;
  payload: Uint8Array;
  /** Undefined: plain success. */
  status: JobStatus | undefined;
}

/** What the router tells about its commits. */
export interface DeliveryObserver {
  /** False for nearly everybody: then nothing of a job has to be looked at. */
  readonly isWanted: boolean;
  observe(jobs: readonly DeliveredJob[]): Observation[];
}
