// The rarer routes: who may use each, and which part of the gateway serves it. Paths of /internal ask for the admin token
// first; they are not even known when there is none (routes.ts).

import type { Clock } from '../../runtime/index.ts';
import type { HttpRequest } from '../../transport/index.ts';
import { credentialsOf, isSecret } from '../admin/contract.ts';
import type { SourceConfig, WorkspaceHolder } from '../services/workspace.ts';
import { type Answer, answers, textAnswer } from './answers.ts';
import { type AuthOutcome, readWriteKey, type WriteKeyAuth } from './auth.ts';
import type { BatchThrottle } from './batch-throttle.ts';
import { runIdText } from './event-text.ts';
import type { AnswerWith, Feed, Ingest } from './ingest.ts';
import { type InternalBatchOptions, storeInternalBatch } from './internal-batch.ts';
import type { JobRuns } from './job-runs.ts';
import { docsAnswer, openApiAnswer } from './openapi.ts';
import { pixelEvent } from './pixel.ts';
import type { FoundRoute } from './route-table.ts';
import { sourceConfigAnswer } from './source-config.ts';
import type { WebhookRoute } from './webhook-route.ts';

export interface OtherRoutesOptions {
  auth: WriteKeyAuth;
  ingest: Ingest;
  internalBatch: InternalBatchOptions;
  batchThrottle: BatchThrottle;
  webhook: WebhookRoute;
  jobRuns: JobRuns;
  workspace: WorkspaceHolder;
  clock: Clock;
  adminToken: string;
  requiresDestinationId: boolean;
  health(): Answer;
  version(): Answer;
}

const robots = textAnswer(200, 'text/plain; charset=utf-8', 'User-agent: * \nDisallow: / \n');
const batchFeed: Feed = { type: undefined };

export class OtherRoutes {
  readonly #options: OtherRoutesOptions;

  constructor(options: OtherRoutesOptions) {
    this.#options = options;
  }

  serve(found: FoundRoute, request: HttpRequest, answerWith: AnswerWith): void {
    const { route } = found;
    if (route.auth.startsWith('internal') && !this.#hasToken(request)) {
      answerWith(answers.noAdminToken);
      return;
    }
    switch (route.handler) {
      case 'event':
      case 'batch':
      case 'internalEvent':
        this.#options.ingest.accept(request, { type: route.type }, answerWith);
        return;
      case 'beacon':
        this.#withSource(this.#options.auth.authenticateQuery(request.query), answerWith, (source) =>
          this.#options.ingest.acceptFrom(source, request, batchFeed, answerWith),
        );
        return;
      case 'retl':
      case 'replay':
        this.#servePipeline(route.handler, request, answerWith);
        return;
      case 'pixel':
        this.#servePixel(route.type ?? '', request, answerWith);
        return;
      case 'webhook':
        this.#options.webhook.accept(request, answerWith);
        return;
      case 'internalBatch':
        this.#serveInternalBatch(request, answerWith);
        return;
      case 'sourceConfig':
        this.#serveSourceConfig(request, answerWith);
        return;
      default:
        this.#serveFacts(found, request, answerWith);
    }
  }

  #serveFacts({ route, params }: FoundRoute, request: HttpRequest, answerWith: AnswerWith): void {
    const { jobRuns } = this.#options;
    // As ingestion has kept it.
    const jobRunId = runIdText(params.job_run_id ?? '');
    switch (route.handler) {
      case 'health':
        answerWith(this.#options.health());
        return;
      case 'version':
        answerWith(this.#options.version());
        return;
      case 'robots':
        answerWith(robots);
        return;
      case 'docs':
        answerWith(docsAnswer());
        return;
      case 'openapi':
        answerWith(openApiAnswer());
        return;
      case 'jobStatus':
        jobRuns.status(jobRunId, new URLSearchParams(request.query), answerWith);
        return;
      case 'deleteJobStatus':
        jobRuns.deleteStatus(jobRunId, new URLSearchParams(request.query), answerWith);
        return;
      case 'failedRecords':
        jobRuns.failedRecords(jobRunId, new URLSearchParams(request.query), answerWith);
        return;
      case 'deleteFailedRecords':
        jobRuns.deleteFailedRecords(jobRunId, new URLSearchParams(request.query), answerWith);
        return;
      case 'drainJob':
        jobRuns.drain(jobRunId, answerWith);
        return;
      case 'warehouse':
        answerWith(answers.noWarehouse);
        return;
      default:
        answerWith(answers.unknownRoute);
    }
  }

  #serveInternalBatch(request: HttpRequest, answerWith: AnswerWith): void {
    const { ingest, internalBatch, batchThrottle } = this.#options;
    const refusal = batchThrottle.refuse(request.header('x-batch-size'));
    if (refusal !== undefined) answerWith(refusal);
    else ingest.readBody(request, answerWith, (body) => storeInternalBatch(internalBatch, body, answerWith));
  }

  /** Sources of our own services are named by their id. */
  #servePipeline(kind: 'retl' | 'replay', request: HttpRequest, answerWith: AnswerWith): void {
    const { auth, ingest } = this.#options;
    const sourceId = request.header('x-rudder-source-id');
    const outcome = kind === 'retl' ? auth.authenticateSourceId(sourceId) : auth.authenticateReplay(sourceId);
    this.#withSource(outcome, answerWith, (source) => {
      const destinationId = kind === 'retl' ? request.header('x-rudder-destination-id') : '';
      const refusal = kind === 'retl' ? this.#refuseDestination(source, destinationId) : undefined;
      if (refusal !== undefined) {
        answerWith(refusal);
        return;
      }
      const feed: Feed = {
        type: undefined,
        isInternal: true,
        keepsReceivedAt: kind === 'replay',
        ...(destinationId === '' ? {} : { destinationId }),
      };
      ingest.acceptFrom(source, request, feed, answerWith);
    });
  }

  #servePixel(type: string, request: HttpRequest, answerWith: AnswerWith): void {
    const { auth, ingest, clock } = this.#options;
    this.#withSource(auth.authenticateQuery(request.query), answerWith, (source) => {
      const event = pixelEvent(request.query, type, clock.nowMs());
      if (event === undefined) answerWith(answers.notAnEvent);
      else ingest.acceptMade(source, request, { type }, event, answerWith);
    });
  }

  #serveSourceConfig(request: HttpRequest, answerWith: AnswerWith): void {
    const { auth, workspace } = this.#options;
    const authorization = request.header('authorization');
    const byHeader = readWriteKey(authorization) !== '' || !request.query.includes('writeKey=');
    const outcome = byHeader ? auth.authenticate(authorization) : auth.authenticateQuery(request.query);
    this.#withSource(outcome, answerWith, (source) =>
      answerWith(sourceConfigAnswer(source, workspace.current.snapshot.loadedAtMs)),
    );
  }

  #withSource(outcome: AuthOutcome, answerWith: AnswerWith, use: (source: SourceConfig) => void): void {
    if (outcome.ok) use(outcome.source);
    else answerWith(outcome.answer);
  }

  #hasToken(request: HttpRequest): boolean {
    const { adminToken } = this.#options;
    return adminToken !== '' && isSecret(credentialsOf(request.header('authorization')), adminToken);
  }

  #refuseDestination(source: SourceConfig, destinationId: string): Answer | undefined {
    if (destinationId === '') return this.#options.requiresDestinationId ? answers.noDestinationId : undefined;
    const destination = source.destinations.find(({ id }) => id === destinationId);
    if (destination === undefined) return answers.invalidDestinationId;
    return destination.enabled ? undefined : answers.destinationDisabled;
  }
}
