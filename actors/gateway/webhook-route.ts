// POST and GET /v1/webhook: what a third party sends in its own form becomes events (services/webhook-sources.ts) and is
// stored like a batch. Each request is a unit of its own: one that fails cannot hold up or answer another.

import type { HttpRequest } from '../../transport/index.ts';
import type { WebhookOutcome, WebhookReply, WebhookRequest, WebhookSources } from '../services/webhook-sources.ts';
import type { SourceConfig } from '../services/workspace.ts';
import { type Answer, answers, methodNotAllowed, refusalOf, textAnswer } from './answers.ts';
import type { WriteKeyAuth } from './auth.ts';
import type { ClientAddresses } from './client-address.ts';
import type { AnswerWith, Feed, Ingest } from './ingest.ts';

/** A transform may look at any header, of which services invent their own; but not at what gives somebody access. */
const secretHeaders: ReadonlySet<string> = new Set(['authorization', 'proxy-authorization', 'cookie']);

/** Its headers are for the transform. */
export function isWebhookPath(path: string): boolean {
  return path === '/v1/webhook';
}

const batchFeed: Feed = { type: undefined };

export interface WebhookFailure {
  sourceId: string;
  workspaceId: string;
  status: number;
  reason: string;
  request: WebhookRequest;
}

export interface WebhookRouteOptions {
  auth: WriteKeyAuth;
  ingest: Ingest;
  sources: WebhookSources;
  addresses: ClientAddresses;
  /** Told about every webhook of a known source that became no events though it should have. Never throws. */
  onFailed(failure: WebhookFailure): void;
}

export class WebhookRoute {
  readonly #options: WebhookRouteOptions;

  constructor(options: WebhookRouteOptions) {
    this.#options = options;
  }

  accept(request: HttpRequest, answerWith: AnswerWith): void {
    const { auth, ingest, sources } = this.#options;
    const found = auth.authenticateWebhook(request.query, request.header('authorization'));
    if (!found.ok) {
      answerWith(found.answer);
      return;
    }
    const { source } = found;
    if (request.method !== 'GET') {
      ingest.readBody(request, answerWith, (body) => this.#transform(source, request, body, answerWith));
    } else if (sources.acceptsGet(source)) {
      this.#transform(source, request, Buffer.alloc(0), answerWith);
    } else {
      answerWith(methodNotAllowed('POST'));
    }
  }

  /** The same again for a failure that was kept. */
  replay(source: SourceConfig, webhook: WebhookRequest, answerWith: AnswerWith): void {
    this.#run(source, replayedRequest(webhook), webhook, answerWith);
  }

  #transform(source: SourceConfig, request: HttpRequest, body: Buffer, answerWith: AnswerWith): void {
    const webhook: WebhookRequest = {
      method: request.method,
      path: request.path,
      query: withoutWriteKey(request.query),
      headers: Object.fromEntries([...request.allHeaders].filter(([name]) => !secretHeaders.has(name))),
      remoteAddress: this.#options.addresses.of(request),
      // The transport uses its memory again once this turn is over.
      body: Buffer.from(body),
    };
    this.#run(source, keptRequest(request, webhook), webhook, (answer) => {
      if (answer.status >= 300) this.#note(source, webhook, answer);
      answerWith(answer);
    });
  }

  #run(source: SourceConfig, request: HttpRequest, webhook: WebhookRequest, answerWith: AnswerWith): void {
    const { ingest, sources } = this.#options;
    sources.transform(source, webhook, (outcome) => {
      if (outcome.kind === 'refused') {
        answerWith(refusalOf(outcome.status, outcome.text));
        return;
      }
      const success = replyAnswer(outcome);
      if (outcome.kind === 'answered') answerWith(success);
      else {
        const finished = (answer: Answer): void => answerWith(answer === answers.ok ? success : answer);
        ingest.acceptMade(source, request, batchFeed, outcome.body, finished);
      }
    });
  }

  #note(source: SourceConfig, webhook: WebhookRequest, answer: Answer): void {
    this.#options.onFailed({
      sourceId: source.id,
      workspaceId: source.workspaceId,
      status: answer.status,
      reason: answer.body.trimEnd(),
      request: webhook,
    });
  }
}

function replyAnswer(outcome: Exclude<WebhookOutcome, { kind: 'refused' }>): Answer {
  const reply: WebhookReply | undefined = outcome.reply;
  return reply === undefined ? answers.ok : textAnswer(200, reply.contentType, reply.body.toString());
}

/** The write key is a secret, and neither a transform nor whoever looks at failures needs it. */
function withoutWriteKey(query: string): string {
  if (!query.includes('writeKey')) return query;
  const params = new URLSearchParams(query);
  params.delete('writeKey');
  return params.toString();
}

/** The request as ingestion may ask for it after the transport has forgotten it. */
function keptRequest(request: HttpRequest, webhook: WebhookRequest): HttpRequest {
  const kept = new Map(
    ['anonymousid', 'traceparent', 'x-rudder-job-run-id', 'x-rudder-task-run-id'].map((name) => [
      name,
      request.header(name),
    ]),
  );
  return { ...replayedRequest(webhook), header: (name) => kept.get(name) ?? '' };
}

const noHeaders: ReadonlyMap<string, string> = new Map();

function replayedRequest(webhook: WebhookRequest): HttpRequest {
  const { method, path, query, remoteAddress, body } = webhook;
  return { method, path, query, remoteAddress, body, bodyTooLarge: false, allHeaders: noHeaders, header: () => '' };
}
