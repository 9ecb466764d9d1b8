// Delivery of jobs whose requests the remote transformer makes, puts together or sends itself: stands before the plain
// delivery and lets everything else through untouched. Jobs of one destination that are sent in the same turn are asked
// about together, so chunks grow with load and need no timer. A transformer that is away ends like a destination that
// is: the breaker of the destinations that need it opens, their jobs wait, and nobody else notices.
//
// A job: collected → asked about (alone, once something went wrong with it among others) → its requests are sent in
// their order, the first that fails ends it → its outcome is told.

import { createHash } from 'node:crypto';
import type { Clock, Random } from '../../runtime/index.ts';
import type { Settings } from '../config.ts';
import type { DestinationConfig, WorkspaceIndex } from '../services/workspace.ts';
import {
  noTransformationCode,
  type OutputRequest,
  type TransformedGroup,
  type TransformerJob,
} from '../transformer/contract.ts';
import { restOutputOf } from '../transformer/rest-output.ts';
import { type TransformerChunk, TransformerClient } from '../transformer/transformer-client.ts';
import type { Delivery, DeliveryOutcome, DeliveryRequest } from './delivery.ts';

/** Where a job's destination and source stand now. */
interface WorkspaceOfJobs {
  readonly current: Pick<WorkspaceIndex, 'destinationById' | 'sourceById'>;
}

export interface TransformedDeliveryOptions {
  inner: Delivery;
  client: Pick<TransformerClient, 'transform' | 'batch' | 'proxy'>;
  workspace: WorkspaceOfJobs;
  /** Jobs asked about at once. */
  jobsMax: number;
  /** Upper-case types that the transformer delivers, and those whose requests it puts together. */
  proxyTypes: ReadonlySet<string>;
  batchTypes: ReadonlySet<string>;
  /** Of a request the transformer sends for us. */
  proxyTimeoutMs: number;
}

interface Waiting {
  request: DeliveryRequest;
  about: TransformerJob;
  done(outcome: DeliveryOutcome): void;
}

type Way = 'transform' | 'batch' | 'plain';

/** Undefined: there is no transformer, and nothing stands before the delivery. One client for all that it makes. */
export function transformedDelivery(
  { transformer, router }: Pick<Settings, 'transformer' | 'router'>,
  workspace: WorkspaceOfJobs,
) {
  const { url, deliveryUrl, pollMs, timeoutMs, jobsMax, proxyTypes, batchTypes } = transformer;
  if (url === '') return undefined;
  let client: TransformerClient | undefined;
  return (inner: Delivery, { clock, random }: { clock: Clock; random: Random }): Delivery => {
    client ??= new TransformerClient({ url, deliveryUrl, pollMs, timeoutMs, clock, random: () => random.next() });
    return new TransformedDelivery({
      inner,
      client,
      workspace,
      jobsMax,
      proxyTypes: new Set(proxyTypes.map((type) => type.toUpperCase())),
      batchTypes: new Set(batchTypes.map((type) => type.toUpperCase())),
      proxyTimeoutMs: router.httpTimeoutMs,
    });
  };
}

export class TransformedDelivery implements Delivery {
  readonly #options: TransformedDeliveryOptions;
  readonly #collected = new Map<string, Waiting[]>();
  /** Keyed by the job in the router's window, so that what is done needs no clearing away. */
  readonly #alone = new WeakSet<TransformerJob>();
  #isFlushing = false;

  constructor(options: TransformedDeliveryOptions) {
    this.#options = options;
  }

  send(request: DeliveryRequest, done: (outcome: DeliveryOutcome) => void): void {
    const { inner, proxyTypes, batchTypes } = this.#options;
    const { about } = request;
    const isOurs = request.request.format === 'EVENT' || proxyTypes.size > 0 || batchTypes.size > 0;
    if (!isOurs || about === undefined) {
      inner.send(request, done);
      return;
    }
    const waiting = this.#collected.get(request.poolKey);
    if (waiting === undefined) this.#collected.set(request.poolKey, [{ request, about, done }]);
    else waiting.push({ request, about, done });
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    queueMicrotask(() => this.#flush());
  }

  release(poolKey: string): void {
    this.#options.inner.release(poolKey);
  }

  #flush(): void {
    this.#isFlushing = false;
    const collected = [...this.#collected];
    this.#collected.clear();
    for (const [destinationId, all] of collected) {
      const destination = this.#options.workspace.current.destinationById(destinationId);
      if (destination === undefined) {
        for (const { done } of all) done(transformerOutcome(noTransformationCode, 'the destination is gone'));
        continue;
      }
      const byWay = new Map<Way, Waiting[]>();
      for (const waiting of all) {
        const way = this.#wayOf(waiting, destination);
        const same = byWay.get(way);
        if (same === undefined) byWay.set(way, [waiting]);
        else same.push(waiting);
      }
      for (const [way, waiting] of byWay) this.#chunk(way, waiting, destination);
    }
  }

  #wayOf({ request }: Waiting, destination: DestinationConfig): Way {
    if (request.request.format === 'EVENT') return 'transform';
    return this.#options.batchTypes.has(typeOf(destination)) ? 'batch' : 'plain';
  }

  #chunk(way: Way, all: readonly Waiting[], destination: DestinationConfig): void {
    let chunk: Waiting[] = [];
    // Each of these promises ends in the outcome of its jobs and never rejects.
    const begin = (waiting: readonly Waiting[], isAlone: boolean): void =>
      void this.#run(way, waiting, destination, isAlone);
    for (const waiting of all) {
      if (way === 'plain' || this.#alone.has(waiting.about)) begin([waiting], true);
      else chunk.push(waiting);
      if (chunk.length < this.#options.jobsMax) continue;
      begin(chunk, false);
      chunk = [];
    }
    if (chunk.length > 0) begin(chunk, false);
  }

  async #run(way: Way, waiting: readonly Waiting[], destination: DestinationConfig, isAlone: boolean): Promise<void> {
    const chunk: TransformerChunk = {
      jobs: waiting.map(({ about }) => about),
      destination,
      sourceById: (sourceId) => this.#options.workspace.current.sourceById(sourceId),
      isAlone,
    };
    try {
      const groups = await this.#groupsOf(way, waiting, chunk);
      await Promise.all(groups.map((group) => this.#deliver(group, waiting, chunk)));
    } catch (error) {
      // A fault of ours; the jobs must not wait for an outcome that never comes.
      const reason = `the transformer's answer could not be used: ${error instanceof Error ? error.name : 'unknown'}`;
      for (const { done } of waiting) done(transformerOutcome(500, reason));
    }
  }

  async #groupsOf(way: Way, waiting: readonly Waiting[], chunk: TransformerChunk): Promise<TransformedGroup[]> {
    const { client } = this.#options;
    if (way === 'transform') return client.transform(chunk);
    const outputs = waiting.map(({ request }) => restOutputOf(request.request, request.body));
    const readable = outputs.filter((output) => output !== undefined);
    if (way === 'batch' && readable.length === outputs.length) return client.batch(chunk, readable);
    return waiting.map(({ request }, index) => {
      const requests = [outputs[index] ?? { request: request.request, body: request.body, output: {} }];
      return { indexes: [index], requests, code: 200, reason: '' };
    });
  }

  async #deliver(group: TransformedGroup, waiting: readonly Waiting[], chunk: TransformerChunk): Promise<void> {
    const members = group.indexes.flatMap((index) => waiting[index] ?? []);
    if (group.mustBeAlone === true) for (const { about } of members) this.#alone.add(about);
    let outcomes: DeliveryOutcome[] = members.map(() => transformerOutcome(group.code, group.reason));
    for (const [position, request] of group.requests.entries()) {
      const sent = await this.#sendOne(request, position, members, chunk.destination, chunk.isAlone);
      const isDone = sent.every(({ code }) => code >= 200 && code < 300);
      if (!isDone || group.code === 200) outcomes = sent;
      if (!isDone) break;
    }
    for (const [index, { done }] of members.entries()) {
      done(outcomes[index] ?? transformerOutcome(500, 'it has no outcome'));
    }
  }

  /** One outcome for each member. */
  async #sendOne(
    output: OutputRequest,
    position: number,
    members: readonly Waiting[],
    destination: DestinationConfig,
    isAlone: boolean,
  ): Promise<DeliveryOutcome[]> {
    const { inner, client, proxyTypes, proxyTimeoutMs, workspace } = this.#options;
    const [first] = members;
    if (first === undefined) return [];
    if (proxyTypes.has(typeOf(destination)) && Object.keys(output.output).length > 0) {
      const sourceById = (id: string) => workspace.current.sourceById(id);
      const chunk = { jobs: members.map(({ about }) => about), destination, sourceById, isAlone };
      const proxied = await client.proxy(chunk, output, proxyTimeoutMs);
      return proxied.map(({ code, text, mustBeAlone }, index): DeliveryOutcome => {
        const about = members[index]?.about;
        if (mustBeAlone && about !== undefined) this.#alone.add(about);
        if (code === noTransformationCode) return transformerOutcome(code, text);
        return { code, response: code < 300 ? '' : text, contentType: 'application/json', retryAfterMs: undefined };
      });
    }
    const {
      poolKey,
      destination: configured,
      traceparent,
      signingKeys,
      jobs,
      keepsAnswer,
      connection,
      rules,
    } = first.request;
    const idempotencyKey = keyOf(members, position);
    const { request, body } = output;
    const outcome = await new Promise<DeliveryOutcome>((settle) =>
      inner.send(
        {
          poolKey,
          destination: configured,
          request,
          body,
          jobs: Math.max(jobs, members.length),
          keepsAnswer,
          idempotencyKey,
          traceparent,
          signingKeys,
          ...(connection === undefined ? {} : { connection }),
          ...(rules === undefined ? {} : { rules }),
        },
        settle,
      ),
    );
    return members.map(() => outcome);
  }
}

/** The same for every attempt to send the same jobs together. */
function keyOf(members: readonly Waiting[], position: number): string {
  const [first] = members;
  const keys = members.map(({ request }) => request.idempotencyKey);
  const own =
    members.length === 1 && first !== undefined
      ? first.request.idempotencyKey
      : createHash('sha256').update(keys.sort().join(' ')).digest('hex').slice(0, 32);
  return position === 0 ? own : `${own}-request${position}`;
}

function typeOf({ destinationDefinition }: DestinationConfig): string {
  return destinationDefinition.name.toUpperCase();
}

function transformerOutcome(code: number, reason: string): DeliveryOutcome {
  return {
    code,
    response: reason,
    contentType: '',
    retryAfterMs: undefined,
    stage: 'router_dest_transformer',
    isBlameless: code === noTransformationCode,
  };
}
