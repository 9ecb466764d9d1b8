// Asks storage what a partition has seen, page by page, when a session begins that does not know it (dedup.ts).

import type { ActorContext } from '../../runtime/index.ts';
import type { Settings } from '../config.ts';
import { consumerPlace } from '../lanes.ts';
import { type ReadSeen, type SeenFound, type StorageMessage, storageKind } from '../storage/contract.ts';
import type { ProcessorMessage, SeenRead } from './contract.ts';
import type { Dedup } from './dedup.ts';

export class SeenReader {
  readonly #context: ActorContext<ProcessorMessage>;
  readonly #settings: Settings;
  readonly #dedup: Dedup;
  #receivedAtMs = 0;
  #tickets = 0;

  constructor(context: ActorContext<ProcessorMessage>, settings: Settings, dedup: Dedup) {
    this.#context = context;
    this.#settings = settings;
    this.#dedup = dedup;
  }

  /** With every hand-out: `mark` as in HandedJobs, the first job received at `receivedAtMs`. */
  begin(mark: number, receivedAtMs: number): void {
    if (!this.#dedup.begin(mark)) return;
    this.#receivedAtMs = receivedAtMs;
    this.#ask(0);
  }

  /** '', or why the session is worth nothing. */
  receive({ ticket, found, failure }: SeenRead): string {
    if (ticket !== this.#tickets || !this.#dedup.isReading) return '';
    if (found?.kind !== 'seenFound') return `what was seen before could not be read: ${found?.reason ?? failure}`;
    this.#dedup.load(found);
    if (found.next !== undefined) this.#ask(found.next);
    return '';
  }

  #ask(afterGroupId: number): void {
    this.#tickets += 1;
    const ticket = this.#tickets;
    const { lane, partition } = consumerPlace(this.#context.key, this.#settings.storage.lanes);
    const question: ReadSeen = { kind: 'readSeen', partition, receivedAtMs: this.#receivedAtMs, afterGroupId };
    const answer = this.#context
      .ref<StorageMessage>(storageKind, String(lane))
      .ask<SeenFound>(question, { timeoutMs: this.#settings.postgres.statementTimeoutMs * 2 });
    this.#context.pipeToSelf(answer, (outcome): SeenRead => {
      const [found, failure] = outcome.ok ? [outcome.value, ''] : [undefined, outcome.error.message];
      return { kind: 'seenRead', ticket, found, failure };
    });
  }
}
