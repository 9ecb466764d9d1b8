// Follows the suppressions of a control plane: page after page from where the last one ended, each kept together with
// its end, so that a restart goes on instead of beginning again.

import { z } from 'zod';
import type { Clock, Random } from '../../runtime/index.ts';
import { expectSuccess } from './control-plane.ts';
import { PollLoop } from './poll-loop.ts';
import { basicCredentials, type ServiceClient, ServiceError } from './service-client.ts';
import type { ServiceHealth } from './service-health.ts';
import type { Suppression, SuppressionStore } from './suppression-store.ts';

export interface SuppressionSyncOptions {
  client: ServiceClient;
  url: string;
  token: string;
  /** `namespaces/<id>` or `workspaces/<id>`; '' as long as that is not known. */
  owner(): string;
  pageSize: number;
  pollMs: number;
  timeoutMs: number;
  store: SuppressionStore;
  health: ServiceHealth;
  clock: Clock;
  random: Random;
}

const pageSchema = z.object({
  items: z.array(
    z.object({
      workspaceId: z.string().min(1),
      userId: z.string(),
      canceled: z.boolean().nullish(),
      createdAt: z.string().nullish(),
      sourceIds: z.array(z.string()).nullish(),
    }),
  ),
  token: z.string().min(1),
});

export class SuppressionSync {
  readonly #options: SuppressionSyncOptions;
  readonly #loop: PollLoop;

  constructor(options: SuppressionSyncOptions) {
    this.#options = options;
    this.#loop = new PollLoop({
      everyMs: options.pollMs,
      clock: options.clock,
      random: options.random,
      run: () => this.#round(),
      onError: (error) => options.health.failed(error instanceof Error ? error.message : String(error)),
    });
  }

  /** Everything there was has been taken at least once, now or in an earlier run. */
  get isComplete(): boolean {
    const owner = this.#options.owner();
    return owner !== '' && this.#options.store.syncState(this.#place(owner)).complete;
  }

  start(): void {
    this.#loop.start();
  }

  /** One round now. Resolves to whether it succeeded. */
  now(): Promise<boolean> {
    return this.#loop.now();
  }

  close(): Promise<void> {
    return this.#loop.close();
  }

  #place(owner: string): string {
    return `${this.#options.url} ${owner}`;
  }

  async #round(): Promise<boolean> {
    const { owner, store, health, pageSize } = this.#options;
    const ownerNow = owner();
    if (ownerNow === '') {
      health.failed('the workspace is not known yet');
      return false;
    }
    try {
      const place = this.#place(ownerNow);
      for (;;) {
        const { token, complete } = store.syncState(place);
        const page = await this.#fetchPage(ownerNow, token);
        const isLast = page.changes.length < pageSize;
        // A full page that ends where it began would come again for ever.
        if (!isLast && page.token === token) throw badAnswer('a new token behind a full page', 'the old one');
        await store.applyPage(page.changes, place, { token: page.token, complete: complete || isLast });
        if (isLast) break;
      }
      await store.dropOld();
      health.succeeded();
      return true;
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      health.failed(error.message);
      return false;
    }
  }

  async #fetchPage(owner: string, pageToken: string): Promise<{ changes: Suppression[]; token: string }> {
    const { client, url, token, pageSize, timeoutMs, clock } = this.#options;
    const target = new URL(`${url.replace(/\/+$/, '')}/dataplane/${owner}/regulations/suppressions`);
    target.searchParams.set('pageSize', String(pageSize));
    target.searchParams.set('pageToken', pageToken);
    const answer = await client.call({ url: target, headers: { Authorization: basicCredentials(token) }, timeoutMs });
    expectSuccess(answer);
    const page = pageSchema.safeParse(parse(answer.body));
    if (!page.success) {
      const [issue] = page.error.issues;
      throw badAnswer('a page of suppressions', `something else at ${issue?.path.join('.') || 'its root'}`);
    }
    const nowMs = clock.nowMs();
    const changes = page.data.items.map(({ workspaceId, userId, canceled, createdAt, sourceIds }) => ({
      workspaceId,
      userId,
      sourceIds: sourceIds ?? [],
      canceled: canceled === true,
      createdAtMs: momentOf(createdAt, nowMs),
    }));
    return { changes, token: page.data.token };
  }
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    throw badAnswer('valid JSON', 'a broken or cut answer');
  }
}

function momentOf(text: string | null | undefined, fallbackMs: number): number {
  const moment = Date.parse(text ?? '');
  return Number.isNaN(moment) ? fallbackMs : moment;
}

function badAnswer(expected: string, got: string): ServiceError {
  return new ServiceError('BAD_ANSWER', `expected of the control plane ${expected}, got ${got}`);
}
