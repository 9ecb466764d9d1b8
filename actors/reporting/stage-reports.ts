// What the processor reports: for each event how it came through the stages, at the source and at each destination. Each
// stage tells what went out of it; what went in is what came out of the one before.

import { EventNames } from '../observations/event-names.ts';
import { type ObservingSettings, observingOf } from '../observations/observing.ts';
import type { CommitAdditions, Ending, EventInHand, Outcome, Refusal, Tap, TapFactory } from '../processor/stage.ts';
import type { DestinationConfig, SourceConfig } from '../services/workspace.ts';
import type { HandedJob } from '../storage/partition-session.ts';
import type { ReportingStage } from './contract.ts';
import { ExampleGate, type ReportAddition, type ReportingPlace, ReportTally, reportingPlace } from './report-tally.ts';

const intended = 298;
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

/** The event as all of its reports name it. */
type About = Pick<Required<ReportAddition>, 'eventName' | 'eventType' | 'errorType' | 'atMs' | 'sample'>;

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
  readonly #places = new Map<string, ReportingPlace>();

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
    tally.add(this.#place('gateway', '', '', run), passed(about));
    for (const way of waysOf(outcome)) this.#addWay(tally, way, about, run);
  }

  ended(handed: HandedJob, inHand: EventInHand | undefined, ending: Ending, commit: CommitAdditions): void {
    const tally = commit.collect(this.#makeTally);
    const about = this.#aboutOf(inHand, handed);
    const run = runOf(inHand);
    // What could not even be read has not passed the gateway: one event, one end.
    const isRead = ending.stage !== 'preprocess';
    if (isRead) tally.add(this.#place('gateway', '', '', run), passed(about));
    const stage = isRead ? stageAtSource(ending.stage) : 'gateway';
    tally.add(this.#place(stage, isRead ? 'gateway' : '', '', run), ended(about, ending));
  }

  #addWay(tally: ReportTally, { destinationId, routed, refusals }: Way, about: About, run: Run): void {
    const at = (stage: ReportingStage, before: ReportingStage) => this.#place(stage, before, destinationId, run);
    const count = (stage: Refusal['stage']) => refusals.filter((refusal) => refusal.stage === stage).length;
    const add = (place: ReportingPlace, stage: Refusal['stage'], succeeded: number): void => {
      if (succeeded > 0) tally.add(place, passed(about, succeeded));
      for (const refusal of refusals) if (refusal.stage === stage) tally.add(place, ended(about, refusal));
    };
    const isLetIn = count('destination_filter') === 0;
    add(at('destination_filter', 'gateway'), 'destination_filter', isLetIn ? 1 : 0);
    if (!isLetIn) return;
    const made = routed + count('dest_transformer') + count('event_filter');
    let before: ReportingStage = 'destination_filter';
    if ((this.#destinations.get(destinationId)?.transformations?.length ?? 0) > 0) {
      const place = at('user_transformer', before);
      add(place, 'user_transformer', made);
      const more = made + count('user_transformer') - 1;
      if (more !== 0) tally.add(place, { ...about, state: 'diff', statusCode: 0, count: more });
      before = 'user_transformer';
    }
    add(at('event_filter', before), 'event_filter', made - count('event_filter'));
    add(at('dest_transformer', 'event_filter'), 'dest_transformer', routed);
  }

  #aboutOf(inHand: EventInHand | undefined, { job }: HandedJob): About {
    const { id, sourceDefinition } = this.#source;
    const atMs = job.receivedAtMs;
    const eventType = this.#names.nameOf('', inHand?.event.type, atMs);
    const isRow = sourceDefinition.category === rowCategory;
    return {
      eventName: isRow ? eventType : this.#names.nameOf(id, inHand?.event.event, atMs),
      eventType,
      errorType: '',
      atMs,
      sample: () => ({
        event: inHand === undefined ? '' : Buffer.concat(inHand.encoded()).toString(),
        response: '',
      }),
    };
  }

  #place(reportedBy: ReportingStage, inReportedBy: ReportingStage | '', destinationId: string, run: Run) {
    const key = `${reportedBy}\0${inReportedBy}\0${destinationId}\0${run.jobRunId}\0${run.taskRunId}`;
    const known = this.#places.get(key);
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
    if (this.#places.size >= placesMax) this.#places.clear();
    this.#places.set(key, place);
    return place;
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

function passed(about: About, count = 1): ReportAddition {
  return { ...about, state: 'succeeded', statusCode: 200, count };
}

function ended(about: About, { code, reason }: Pick<Refusal, 'code' | 'reason'>): ReportAddition {
  const { sample } = about;
  return {
    ...about,
    state: code === intended ? 'filtered' : 'aborted',
    statusCode: code,
    sample: () => ({ event: sample().event, response: reason }),
  };
}
