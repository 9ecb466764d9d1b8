// What must hold whatever happens, stated once and checked while a simulated run goes on. Actors of the workload report
// what they see; nothing here takes part in the run.

import type { SystemStats } from '../../runtime/index.ts';
import type { LinkStats } from '../../transport/index.ts';

export interface Job {
  /** Place in the order of commits. */
  jobId: number;
  itemId: string;
  partition: string;
  user: string;
  /** 1, 2, 3 … for each user, in the order the client was told they are kept. */
  sequence: number;
}

/** One direction of a link, seen from both of its ends. */
export interface LinkEnd {
  name: string;
  near: LinkStats;
  far: LinkStats;
}

/** Small, so that links are full now and then. */
export const windowEnvelopes = 64;
export const windowBytes = 64 * 1024;

export class Invariants {
  readonly violations: string[] = [];
  sent = 0;
  received = 0;
  deliveries = 0;
  asksOpened = 0;
  private readonly lastOfPair = new Map<string, number>();
  private readonly openAsks = new Map<number, number>();
  private readonly firstDeliveries = new Map<string, number>();
  private readonly live = new Map<string, { threadId: number; session: number }>();
  private readonly accepted = new Map<string, Job>();
  private readonly done = new Set<string>();

  /** Pair order and at most once: what one life of a sender tells one receiver comes with growing numbers. */
  hear(pair: string, sequence: number): void {
    this.received += 1;
    const last = this.lastOfPair.get(pair) ?? 0;
    if (sequence <= last) this.violate(`pair order: ${pair} heard ${sequence} after ${last}`);
    this.lastOfPair.set(pair, Math.max(last, sequence));
  }

  /** No ask is lost: each ends with its answer or an error, unless its own thread died. */
  askOpened(threadId: number): number {
    this.asksOpened += 1;
    this.openAsks.set(this.asksOpened, threadId);
    return this.asksOpened;
  }

  askAnswered(ask: number, expected: unknown, got: unknown): void {
    this.askEnded(ask);
    if (expected !== got) this.violate(`ask ${ask}: expected the answer ${String(expected)}, got ${String(got)}`);
  }

  askEnded(ask: number): void {
    if (!this.openAsks.delete(ask)) this.violate(`ask ${ask} ended twice`);
  }

  /** Never two live instances of a partition. */
  partitionStarted(partition: string, threadId: number, session: number): void {
    const other = this.live.get(partition);
    if (other !== undefined) {
      this.violate(`two lives: ${partition} started in thread ${threadId} while it lives in ${other.threadId}`);
    }
    this.live.set(partition, { threadId, session });
  }

  partitionStopped(partition: string, session: number): void {
    if (this.live.get(partition)?.session === session) this.live.delete(partition);
  }

  threadKilled(threadId: number): void {
    for (const [partition, life] of this.live) if (life.threadId === threadId) this.live.delete(partition);
    for (const [ask, owner] of this.openAsks) if (owner === threadId) this.openAsks.delete(ask);
  }

  /** The funnel: the client was told that this is kept. */
  itemAccepted(job: Job): void {
    this.accepted.set(job.itemId, job);
  }

  itemDone(itemId: string): void {
    this.done.add(itemId);
  }

  /** Per-user order: nothing is delivered before what the same user sent earlier was delivered once. */
  jobDelivered(job: Job): void {
    this.deliveries += 1;
    const last = this.firstDeliveries.get(job.user) ?? 0;
    if (job.sequence > last + 1) this.violate(`user order: ${job.user} got ${job.sequence} after ${last}`);
    this.firstDeliveries.set(job.user, Math.max(last, job.sequence));
  }

  isRecovered(): boolean {
    for (const itemId of this.accepted.keys()) if (!this.done.has(itemId)) return false;
    return true;
  }

  /** Amid life, when nobody waits and nothing is on the way: every link has its whole window back, and holds nothing. */
  checkLinks(ends: readonly LinkEnd[]): void {
    for (const { name, near, far } of ends) {
      const envelopes = near.creditEnvelopes + far.owedEnvelopes;
      const bytes = near.creditBytes + far.owedBytes;
      if (envelopes !== windowEnvelopes || bytes !== windowBytes) {
        this.violate(`credit: link ${name} has ${envelopes} envelopes and ${bytes} bytes of its window left`);
      }
      if (near.outboxEnvelopes + near.outboxBytes > 0) {
        this.violate(`stuck link: ${name} keeps ${near.outboxEnvelopes} envelopes, ${near.outboxBytes} bytes`);
      }
    }
  }

  /** The same moment: no move is under way, so nobody's messages wait for its end. */
  checkHolds({ threadId, held }: SystemStats): void {
    if (held > 0) this.violate(`stuck hold: thread ${threadId} still keeps the messages of ${held} actors`);
  }

  /** After the drain: nothing is left that somebody waits for, or that takes room. */
  checkStopped({ threadId, asksPending, mailboxBytes, mailboxDepth }: SystemStats): void {
    if (asksPending > 0) this.violate(`drain: thread ${threadId} has ${asksPending} asks nobody will answer`);
    if (mailboxBytes + mailboxDepth > 0) {
      this.violate(`drain: thread ${threadId} keeps ${mailboxDepth} messages, ${mailboxBytes} bytes`);
    }
  }

  /** When nothing moves any more. `lostLetters`: dead letters of talkers that no listener saw; only exact without kills. */
  checkEnd(options: { lostLetters: number; hadKills: boolean; acceptedMin: number }): void {
    for (const [itemId, job] of this.accepted) {
      if (!this.done.has(itemId)) this.violate(`funnel: ${itemId} was accepted as job ${job.jobId} and never ended`);
    }
    if (this.accepted.size < options.acceptedMin) {
      this.violate(
        `funnel: expected ${options.acceptedMin} items to be accepted in the end, got ${this.accepted.size}`,
      );
    }
    for (const [ask, threadId] of this.openAsks) this.violate(`lost ask: ${ask} of thread ${threadId} never ended`);
    const accountedFor = this.received + options.lostLetters;
    if (!options.hadKills && this.sent !== accountedFor) {
      this.violate(`nothing silent: ${this.sent} sent, but ${accountedFor} received or buried`);
    }
  }

  private violate(text: string): void {
    this.violations.push(text);
  }
}
