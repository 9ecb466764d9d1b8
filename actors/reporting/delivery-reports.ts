// What the router reports: how the attempts of a commit ended, by source, destination and event. A job that fails is
// counted at its first attempt only, as in the field, so that a destination that is away does not look like many events.

import type { RouterParameters } from '../job.ts';
import type { Observation } from '../observations/contract.ts';
import { EventNames } from '../observations/event-names.ts';
import { ObservedSources, type ObservingSettings } from '../observations/observing.ts';
import type { WorkspaceHolder, WorkspaceIndex } from '../services/workspace.ts';
import type { DeliveredJob, DeliveryObserver } from './contract.ts';
import { ExampleGate, type ReportedEnd, type ReportingPlace, ReportTally, reportingPlace } from './report-tally.ts';

const placesMax = 10_000;
const succeeded: ReportedEnd = { state: 'succeeded', statusCode: 200 };

/** One for each thread. */
export class DeliveryReports implements DeliveryObserver {
  readonly #workspace: WorkspaceHolder;
  readonly #sources: ObservedSources;
  readonly #names: EventNames;
  readonly #gate = new ExampleGate();
  readonly #places = new Map<string, ReportingPlace>();
  #index: WorkspaceIndex | undefined;

  constructor(workspace: WorkspaceHolder, settings: ObservingSettings) {
    this.#workspace = workspace;
    this.#sources = new ObservedSources(settings);
    this.#names = new EventNames(settings.reporting.eventNamesMax);
  }

  /** False for nearly everybody: then nothing of a job has to be looked at. */
  get isWanted(): boolean {
    return this.#sources.isAny(this.#workspace.current);
  }

  observe(jobs: readonly DeliveredJob[]): Observation[] {
    const index = this.#workspace.current;
    if (index !== this.#index || this.#places.size > placesMax) this.#places.clear();
    this.#index = index;
    const tally = new ReportTally(this.#gate);
    for (const job of jobs) this.#add(job, tally, index);
    return tally.take();
  }

  #add(
    { parameters, destinationId, receivedAtMs, payload, status }: DeliveredJob,
    tally: ReportTally,
    index: WorkspaceIndex,
  ) {
    if (parameters === undefined || !this.#sources.of(index, parameters.source_id).reports) return;
    const state = status?.state ?? 'succeeded';
    if (state === 'waiting' || (state === 'failed' && status?.attempt !== 1)) return;
    const { source_id: sourceId, event_name: name, event_type: type } = parameters;
    tally.add(
      this.#placeOf(parameters, destinationId, index),
      {
        eventName: this.#names.nameOf(sourceId, name, receivedAtMs),
        eventType: this.#names.nameOf('', type, receivedAtMs),
        atMs: receivedAtMs,
        example: () => jsonTextOf(payload),
      },
      status === undefined ? succeeded : { state, statusCode: status.code, response: status.response },
    );
  }

  #placeOf(
    parameters: Omit<RouterParameters, 'request'>,
    destinationId: string,
    index: WorkspaceIndex,
  ): ReportingPlace {
    const { source_id: sourceId, source_job_run_id: run = '', source_task_run_id: task = '' } = parameters;
    const key = `${sourceId}\0${destinationId}\0${run}\0${task}`;
    let place = this.#places.get(key);
    if (place === undefined) {
      const source = index.sourceById(sourceId);
      const definition = index.destinationById(destinationId)?.destinationDefinition;
      place = reportingPlace(
        {
          workspaceId: source?.workspaceId ?? parameters.workspace_id,
          sourceId,
          sourceDefinitionId: source?.sourceDefinition.id ?? '',
          sourceCategory: source?.sourceDefinition.category ?? '',
          sourceTaskRunId: task,
          sourceJobRunId: run,
          destinationId,
          DestinationDefinitionId: definition?.id ?? '',
          transformationId: '',
          transformationVersionId: '',
          trackingPlanId: '',
          trackingPlanVersion: 0,
          inReportedBy: 'dest_transformer',
          reportedBy: 'router',
          terminalState: true,
          initialState: false,
        },
        this.#sources.of(index, sourceId).examples,
      );
      this.#places.set(key, place);
    }
    return place;
  }
}

/** '' when it is no JSON, which bodies of some destinations are not. */
function jsonTextOf(payload: Uint8Array): string {
  const text = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString();
  try {
    JSON.parse(text);
    return text;
  } catch {
    return '';
  }
}
