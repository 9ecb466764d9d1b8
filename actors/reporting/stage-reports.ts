// What the processor reports: for each event how it came through the stages, at the source and at each destination. Each
// stage tells what went out of it; what went in is what came out of the one before.

import { EventNames } from '../observations/event-names.ts';
import { type ObservingSettings, observingOf } from '../observations/observing.ts';
import type { CommitAdditions, Ending, EventInHand, Outcome, Refusal, Tap, TapFactory } from '../processor/stage.ts';
import type { DestinationConfig, SourceConfig } from '../services/workspace.ts';
import type { HandedJob } from '../storage/partition-session.ts';
import type { ReportingStage } from './contract.ts';
import {
  ExampleGate,
  type ReportedEnd,
  type ReportedEvent,
  type ReportingPlace,
  ReportTally,
  reportingPlace,
} from './report-tally.ts';

const intended = 298;
const passed: ReportedEnd = { state: 'succeeded', statusCode: 200 };
/** What came out of a transformation more than went in, or less. */
const difference: ReportedEnd = { state: 'diff', statusCode: 0 };
/** Of an event at a destination, in order; a transformation only where there is one. */
const destinationStages = ['destination_filter', 'user_transformer', 'event_filter', 'dest_transformer'] as const;
/** Job runs come and go; then their places are made anew. */
const placesMax = 2_000;
/** Events of reverse ETL are rows: their names are not what they are told apart by. */
const rowCategory = 'warehouse';

export function stageReports(settings: ObservingSettings): TapFactory {
  const names = new EventNames(settings.reporting.eventNamesMax);
  const gate = new ExampleGate();
  const makeTally = (): ReportTally => new ReportTally(gate);
  return (source) => {
    const { reports, examples } = observingOf(source, settings);
    return reports ? new SourceReports(source, examples, names, makeTally) : undefined;
  };
}

interface Run {
  jobRunId: string;
  taskRunId: string;
}

const noRun: Run = { jobRunId: '', taskRunId: '' };

/** What became of an event at one destination. */
interface Way {
  destinationId: string;
  routed: number;
  refusals: Refusal[];
}

class SourceReports implements Tap {
  readonly #source: SourceConfig;
  readonly #takesExamples: boolean;
  readonly #names: EventNames;
  readonly #makeTally: () => ReportTally;
  readonly #destinations: ReadonlyMap<string, DestinationConfig>;
  readonly #places = new Map<string, Map<ReportingStage, ReportingPlace>>();

  constructor(source: SourceConfig, takesExamples: boolean, names: EventNames, makeTally: () => ReportTally) {
    this.#source = source;
    this.#takesExamples = takesExamples;
    this.#names = names;
    this.#makeTally = makeTally;
    this.#destinations = new Map(source.destinations.map((destination) => [destination.id, destination]));
  }

  processed(outcome: Outcome, commit: CommitAdditions): void {
    const { handed } = outcome.inHand;
    const tally = commit.collect(this.#makeTally);
    const about = this.#aboutOf(outcome.inHand, handed);
    const run = runOf(outcome.inHand);
    tally.add(this.#place('gateway', '', '', run), about, passed);
    for (const way of waysOf(outcome)) this.#addWay(tally, way, about, run);
  }

  ended(handed: HandedJob, inHand: EventInHand | undefined, ending: Ending, commit: CommitAdditions): void {
    const tally = commit.collect(this.#makeTally);
    const about = this.#aboutOf(inHand, handed);
    const run = runOf(inHand);
    // What could not even be read has not passed the gateway: one event, one end.
    const isRead = ending.stage !== 'preprocess';
    if (isRead) tally.add(this.#place('gateway', '', '', run), about, passed);
    const stage = isRead ? stageAtSource(ending.stage) : 'gateway';
    tally.add(this.#place(stage, isRead ? 'gateway' : '', '', run), about, endedBy(ending));
  }

  #addWay(tally: ReportTally, { destinationId, routed, refusals }: Way, about: ReportedEvent, run: Run): void {
    let before: ReportingStage = 'gateway';
    const add = (stage: (typeof destinationStages)[number], succeeded: number): ReportingPlace => {
      const place = this.#place(stage, before, destinationId, run);
      before = stage;
      if (succeeded > 0) tally.add(place, about, passed, succeeded);
      for (const refusal of refusals) if (refusal.stage === stage) tally.add(place, about, endedBy(refusal));
      return place;
    };
    const isLetIn = countAt(refusals, 'destination_filter') === 0;
    add('destination_filter', isLetIn ? 1 : 0);
    if (!isLetIn) return;
    const passedOn = routed + countAt(refusals, 'dest_transformer');
    const made = passedOn + countAt(refusals, 'event_filter');
    if ((this.#destinations.get(destinationId)?.transformations?.length ?? 0) > 0) {
      const place = add('user_transformer', made);
      const more = made + countAt(refusals, 'user_transformer') - 1;
      if (more !== 0) tally.add(place, about, difference, more);
    }
    add('event_filter', passedOn);
    add('dest_transformer', routed);
  }

  #aboutOf(inHand: EventInHand | undefined, { job }: HandedJob): ReportedEvent {
    const { id, sourceDefinition } = this.#source;
    const atMs = job.receivedAtMs;
    const eventType = this.#names.nameOf('', inHand?.event.type, atMs);
    const isRow = sourceDefinition.category === rowCategory;
    return {
      eventName: isRow ? eventType : this.#names.nameOf(id, inHand?.event.event, atMs),
      eventType,
      atMs,
      example: () => (inHand === undefined ? '' : Buffer.concat(inHand.encoded()).toString()),
    };
  }

  #place(reportedBy: ReportingStage, inReportedBy: ReportingStage | '', destinationId: string, run: Run) {
    const byStage = this.#placesOf(destinationId, run);
    const known = byStage.get(reportedBy);
    if (known !== undefined) return known;
    const { id, workspaceId, sourceDefinition } = this.#source;
    const destination = this.#destinations.get(destinationId);
    const transformation = reportedBy === 'user_transformer' ? destination?.transformations?.[0] : undefined;
    const place = reportingPlace(
      {
        workspaceId,
        sourceId: id,
        sourceDefinitionId: sourceDefinition.id,
        sourceCategory: sourceDefinition.category,
        sourceTaskRunId: run.taskRunId,
        sourceJobRunId: run.jobRunId,
        destinationId,
        DestinationDefinitionId: destination?.destinationDefinition.id ?? '',
        transformationId: transformation?.id ?? '',
        transformationVersionId: transformation?.versionId ?? '',
        trackingPlanId: '',
        trackingPlanVersion: 0,
        inReportedBy,
        reportedBy,
        terminalState: false,
        initialState: reportedBy === 'gateway',
      },
      this.#takesExamples,
    );
    byStage.set(reportedBy, place);
    return place;
  }

  /** Which stage an event comes from follows from where it is and whose destination it is. */
  #placesOf(destinationId: string, { jobRunId, taskRunId }: Run): Map<ReportingStage, ReportingPlace> {
    const key = jobRunId === '' ? destinationId : `${destinationId}\0${jobRunId}\0${taskRunId}`;
    let places = this.#places.get(key);
    if (places === undefined) {
      if (this.#places.size >= placesMax) this.#places.clear();
      places = new Map();
      this.#places.set(key, places);
    }
    return places;
  }
}

function waysOf({ routed, filtered, aborted }: Outcome): Iterable<Way> {
  const ways = new Map<string, Way>();
  const wayOf = (destinationId: string): Way => {
    let way = ways.get(destinationId);
    if (way === undefined) {
      way = { destinationId, routed: 0, refusals: [] };
      ways.set(destinationId, way);
    }
    return way;
  };
  for (const { route } of routed) wayOf(route.destinationId).routed += 1;
  for (const refusal of filtered) wayOf(refusal.destinationId).refusals.push(refusal);
  for (const refusal of aborted) wayOf(refusal.destinationId).refusals.push(refusal);
  return ways.values();
}

/** An event that is too large for all of its destinations together ended behind the last stage. */
function stageAtSource(stage: Refusal['stage']): ReportingStage {
  return stage === 'preprocess' || stage === 'store' ? 'dest_transformer' : stage;
}

function runOf(inHand: EventInHand | undefined): Run {
  const jobRunId = inHand?.parameters.source_job_run_id;
  return jobRunId === undefined ? noRun : { jobRunId, taskRunId: inHand?.parameters.source_task_run_id ?? '' };
}

function countAt(refusals: readonly Refusal[], stage: Refusal['stage']): number {
  let count = 0;
  for (const refusal of refusals) if (refusal.stage === stage) count += 1;
  return count;
}

function endedBy({ code, reason }: Pick<Refusal, 'code' | 'reason'>): ReportedEnd {
  return { state: code === intended ? 'filtered' : 'aborted', statusCode: code, response: reason };
}
