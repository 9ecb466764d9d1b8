// Webhooks of a known source that became no events are kept: whoever sent them mostly does not send them again. What came,
// why it failed and when stands in Postgres; the admin API lists it and sends it again, through the same transform and
// the same checks.
//
// A failure: waiting (in memory, bounded) -> kept -> sent again | deleted. When Postgres is away the oldest that wait are
// dropped and counted: their senders were told that it failed.

import type { ActorLog, Counter, Metrics } from '../../runtime/index.ts';
import type { Postgres } from '../../transport/index.ts';
import { AdminError, type AdminRoute } from '../admin/contract.ts';
import type { WebhookRequest } from '../services/webhook-sources.ts';
import type { SourceConfig } from '../services/workspace.ts';
import type { Answer } from './answers.ts';
import { sanitise } from './event-text.ts';
import type { WebhookFailure } from './webhook-route.ts';

const waitingMax = 1_000;
const waitingBytesMax = 16 * 1024 * 1024;
const pageMax = 1_000;
/** Statuses that say nothing about the request itself: its sender comes again. */
const passing: ReadonlySet<number> = new Set([429, 503]);

export interface WebhookFailuresOptions {
  postgres: Pick<Postgres, 'query'>;
  sourceById(sourceId: string): SourceConfig | undefined;
  replay(source: SourceConfig, request: WebhookRequest, done: (answer: Answer) => void): void;
  /** Kept of one source; beyond: its oldest are deleted. */
  bytesMax: number;
  metrics: Metrics;
  log: Pick<ActorLog, 'warn'>;
}

interface FailureHead {
  id: number;
  failedAt: Date;
  workspaceId: string;
  sourceId: string;
  status: number;
  reason: string;
  request: string;
  bodyBytes: number;
  replayedAt: Date | null;
}

interface FailureRow extends FailureHead {
  body: Buffer;
}

export class WebhookFailures {
  readonly #options: WebhookFailuresOptions;
  readonly #dropped: Counter;
  #waiting: WebhookFailure[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | undefined;

  constructor(options: WebhookFailuresOptions) {
    this.#options = options;
    this.#dropped = options.metrics.counter(
      'sluice_webhook_failures_dropped_total',
      'Webhook failures that were not kept',
    );
  }

  /** Never throws, never waits. */
  keep(failure: WebhookFailure): void {
    if (passing.has(failure.status)) return;
    this.#waiting.push(failure);
    this.#waitingBytes += failure.request.body.byteLength;
    while (this.#waiting.length > waitingMax || this.#waitingBytes > waitingBytesMax) this.#dropOldest();
    // Never rejects.
    this.#writing ??= this.#writeAll();
  }

  /** Resolves when everything kept so far is written or dropped. */
  async settled(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  routes(): AdminRoute[] {
    return [
      {
        method: 'GET',
        path: '/webhook-failures',
        doc: 'webhooks that became no events: ?sourceId= &after=<id> &limit=',
        handle: async ({ query }) => ({ status: 200, json: await this.#list(query) }),
      },
      {
        method: 'GET',
        path: '/webhook-failures/:id',
        doc: 'one of them with its body',
        handle: async ({ params }) => ({ status: 200, json: shownWithBody(await this.#read(params.id ?? '')) }),
      },
      {
        method: 'POST',
        path: '/webhook-failures/:id/replay',
        doc: 'sends it again',
        handle: async ({ params }) => ({ status: 200, json: await this.#replay(await this.#read(params.id ?? '')) }),
      },
      {
        method: 'DELETE',
        path: '/webhook-failures/:id',
        doc: 'forgets it',
        handle: async ({ params }) => {
          const { id } = await this.#read(params.id ?? '');
          await this.#options.postgres.query('delete from sluice_webhook_failures where failure_id = $1', [id]);
          return { status: 200, json: { deleted: id } };
        },
      },
    ];
  }

  #dropOldest(): void {
    const [oldest] = this.#waiting.splice(0, 1);
    this.#waitingBytes -= oldest?.request.body.byteLength ?? 0;
    this.#dropped.add(1);
  }

  async #writeAll(): Promise<void> {
    const written = new Set<string>();
    for (let failure = this.#waiting[0]; failure !== undefined; failure = this.#waiting[0]) {
      try {
        await this.#write(failure);
        written.add(failure.sourceId);
        if (this.#waiting[0] !== failure) continue;
        this.#waiting.shift();
        this.#waitingBytes -= failure.request.body.byteLength;
      } catch (error) {
        // No timer of its own: the next failure that is to be kept tries again.
        this.#options.log.warn({ error, waiting: this.#waiting.length }, 'webhook failures cannot be written now');
        break;
      }
    }
    for (const sourceId of written) await this.#trim(sourceId);
    this.#writing = undefined;
    // What came while the sources were trimmed.
    if (this.#waiting.length > 0 && written.size > 0) this.#writing = this.#writeAll();
  }

  /** The newest of a source stay: whoever knows a write key could fill the disk otherwise. Never rejects. */
  async #trim(sourceId: string): Promise<void> {
    const { postgres, bytesMax, log } = this.#options;
    try {
      await postgres.query(
        `delete from sluice_webhook_failures where source_id = $1 and failure_id <= (
           select max(failure_id) from (
             select failure_id, sum(octet_length(body) + octet_length(request)) over (order by failure_id desc) as bytes,
                    row_number() over (order by failure_id desc) as place
               from sluice_webhook_failures where source_id = $1) as newest
            where bytes > $2 and place > 1)`,
        [sourceId, bytesMax],
      );
    } catch (error) {
      log.warn({ error, sourceId }, 'old webhook failures cannot be deleted now; tried again with the next');
    }
  }

  async #write({ workspaceId, sourceId, status, reason, request }: WebhookFailure): Promise<void> {
    const { body, ...head } = request;
    await this.#options.postgres.query(
      `insert into sluice_webhook_failures (workspace_id, source_id, status, reason, request, body)
         values ($1, $2, $3, $4, $5, $6)`,
      [workspaceId, sourceId, status, sanitise(reason), sanitise(JSON.stringify(head)), body],
    );
  }

  async #list(query: URLSearchParams): Promise<unknown> {
    const limit = Number(query.get('limit') ?? 100);
    const after = Number(query.get('after') ?? 0);
    if (!Number.isInteger(limit) || limit < 1 || limit > pageMax) {
      throw new AdminError(400, `expected limit to be an integer from 1 to ${pageMax}`);
    }
    if (!Number.isSafeInteger(after)) throw new AdminError(400, 'expected after to be the id of a failure');
    const { rows } = await this.#options.postgres.query<FailureHead>(
      `select ${headColumns} from sluice_webhook_failures where failure_id > $1 and ($2 = '' or source_id = $2) order by failure_id limit $3`,
      [after, query.get('sourceId') ?? '', limit],
    );
    return {
      failures: rows.map(shown),
      ...(rows.length < limit ? {} : { next: rows.at(-1)?.id }),
    };
  }

  async #read(id: string): Promise<FailureRow> {
    if (!/^\d{1,15}$/.test(id)) throw new AdminError(404, 'no such webhook failure');
    const { rows } = await this.#options.postgres.query<FailureRow>(
      `select ${headColumns}, body from sluice_webhook_failures where failure_id = $1`,
      [id],
    );
    const [row] = rows;
    if (row === undefined) throw new AdminError(404, 'no such webhook failure');
    return row;
  }

  async #replay(row: FailureRow): Promise<unknown> {
    const source = this.#options.sourceById(row.sourceId);
    if (source === undefined) throw new AdminError(409, 'expected the source of the webhook to exist still');
    const request = { ...(JSON.parse(row.request) as Omit<WebhookRequest, 'body'>), body: row.body };
    const answer = await new Promise<Answer>((resolve) => this.#options.replay(source, request, resolve));
    const isStored = answer.status < 300;
    if (isStored) {
      await this.#options.postgres.query(
        'update sluice_webhook_failures set replayed_at = now() where failure_id = $1',
        [row.id],
      );
    }
    return { id: row.id, stored: isStored, status: answer.status, answer: answer.body.trimEnd() };
  }
}

const headColumns = `failure_id as id, failed_at as "failedAt", workspace_id as "workspaceId", source_id as "sourceId",
  status, reason, request, octet_length(body) as "bodyBytes", replayed_at as "replayedAt"`;

function shown({ request, ...rest }: FailureHead): Record<string, unknown> {
  const head: unknown = JSON.parse(request);
  return { ...rest, request: head };
}

function shownWithBody({ body, ...head }: FailureRow): Record<string, unknown> {
  return { ...shown(head), bodyBase64: body.toString('base64') };
}
