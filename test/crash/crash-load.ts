// The load of the crash matrix: users who send one request after the other over HTTP, single events and batches, and
// destinations that answer each event by its fate: delivered, delivered after retries, refused, filtered or given up.
// It outlives the processes it is sent to, so that every event of every round is accounted for at any time.

import type { WorkspaceSnapshot } from '../../actors/services/workspace.ts';
import { type Delivery, eventOf, type FakeDestination } from '../support/fake-destination.ts';
import { post, track } from '../support/gateway-client.ts';
import type { SentEvent } from '../support/order-checker.ts';
import { asSent } from '../support/pipeline.ts';
import { makeDestination, makeSnapshot, makeSource } from '../support/workspace-objects.ts';

export type Fate = 'deliver' | 'retry' | 'refuse' | 'filter' | 'giveUp';

const fates: readonly Fate[] = [
  'deliver',
  'deliver',
  'retry',
  'deliver',
  'refuse',
  'deliver',
  'filter',
  'deliver',
  'giveUp',
];
const usersPerSource = 3;
const batchSize = 12;
/** Every so many requests of a user one is a batch. */
const batchEvery = 4;

/** Source `s1` has two destinations, so that one event becomes several jobs. The two live in lanes of their own. */
export const destinationsOf: Readonly<Record<string, readonly string[]>> = { s1: ['d1', 'd2'], s2: ['d3'] };

/** One for each of the two lanes (actors/lanes.ts). */
const workspaceOf: Readonly<Record<string, string>> = { s1: 'WS-A', s2: 'WS-B' };

export function crashWorkspace(destination: FakeDestination): WorkspaceSnapshot {
  const sources = Object.entries(destinationsOf).map(([sourceId, ids]) => {
    const workspaceId = workspaceOf[sourceId] ?? '';
    const destinations = ids.map((id) =>
      makeDestination(id, { workspaceId, config: { webhookUrl: destination.url(`/${id}`) } }),
    );
    return { ...makeSource(sourceId, destinations), workspaceId };
  });
  return makeSnapshot(sources);
}

export function fateOf(sequence: number): Fate {
  return fates[sequence % fates.length] ?? 'deliver';
}

/** What a destination answers: twice 503 before the success of a `retry`. */
export function answerOf(delivery: Delivery): number {
  switch (fateOf(eventOf(delivery).sequence)) {
    case 'deliver':
      return 200;
    case 'retry':
      return delivery.attempt <= 2 ? 503 : 200;
    case 'refuse':
      return 400;
    case 'filter':
      return 298;
    case 'giveUp':
      return 503;
  }
}

interface User {
  name: string;
  sourceId: string;
  next: number;
  requests: number;
}

export class CrashLoad {
  /** By source. */
  readonly acknowledged = new Map<string, SentEvent[]>();
  readonly uncertain = new Map<string, SentEvent[]>();
  /** Answers that are neither 200 nor 503. */
  readonly strange: string[] = [];
  unavailable = 0;
  /** Somebody got no answer at all in the present run: the process is gone or going. */
  isCutOff = false;
  readonly #users: User[];
  #stopped = false;

  constructor() {
    this.#users = Object.keys(destinationsOf).flatMap((sourceId) => {
      this.acknowledged.set(sourceId, []);
      this.uncertain.set(sourceId, []);
      return Array.from({ length: usersPerSource }, (_, index) => ({
        name: `${sourceId}-user-${index}`,
        sourceId,
        next: 0,
        requests: 0,
      }));
    });
  }

  get acknowledgedCount(): number {
    let count = 0;
    for (const events of this.acknowledged.values()) count += events.length;
    return count;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Until `stop`, until every user has had `requestsMax` answers, or until nobody answers any more. */
  async run(urls: readonly string[], requestsMax: number): Promise<void> {
    this.#stopped = false;
    this.isCutOff = false;
    await Promise.all(
      // A user stays with one process: order is that of acceptance there.
      this.#users.map((user, index) => this.#runUser(user, urls[index % urls.length] ?? '', requestsMax)),
    );
  }

  async #runUser(user: User, url: string, requestsMax: number): Promise<void> {
    for (let request = 0; request < requestsMax && !this.#stopped; request += 1) {
      user.requests += 1;
      const events = this.#nextEvents(user, user.requests % batchEvery === 0 ? batchSize : 1);
      const sent = events.map(asSent);
      try {
        const isBatch = events.length > 1;
        const body = isBatch ? { batch: events } : (events[0] ?? {});
        const answer = await post(`${url}/v1/${isBatch ? 'batch' : 'track'}`, body, {
          writeKey: `wk-${user.sourceId}`,
        });
        if (answer.status === 200) this.acknowledged.get(user.sourceId)?.push(...sent);
        else {
          this.uncertain.get(user.sourceId)?.push(...sent);
          if (answer.status === 503) this.unavailable += 1;
          else this.strange.push(`${answer.status} ${answer.text}`);
        }
      } catch {
        this.isCutOff = true;
        // Killed while it held the request: nobody knows whether the commit came first.
        this.uncertain.get(user.sourceId)?.push(...sent);
        return;
      }
    }
  }

  #nextEvents(user: User, count: number) {
    const events = Array.from({ length: count }, (_, index) => track(user.name, user.next + index, 'm'));
    user.next += count;
    return events;
  }
}
