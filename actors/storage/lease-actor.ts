// Decides which lanes this process owns. Every process looks at who takes part and which lanes are held
// (lease-session.ts), works out its share (lease-plan.ts) and tells its storage actors; nobody is in charge. A lane is
// never taken away: its owner gives it, or Postgres has noticed that the owner's connection is gone.
//
// It looks every few seconds, at once when there is news, and faster while its own share is missing.

import { type ActorContext, type ActorDefinition, defineActor, type Outcome } from '../../runtime/index.ts';
import { openPostgres, type Postgres } from '../../transport/index.ts';
import type { Environment } from '../environment.ts';
import {
  type LaneReport,
  type LaneState,
  type LeaseCommand,
  type LeaseMessage,
  type LeaseStats,
  leaseKind,
  type StorageMessage,
  storageKind,
} from './contract.ts';
import { isShort, type LeaseView, lanesToTake, laneToGive } from './lease-plan.ts';
import { type LeaseNews, LeaseSession, type LeaseSight, newsSql } from './lease-session.ts';

/** Idle queries of a process: one in this time, and one that answers health checks. */
const lookMs = 3_000;
const lookMsMin = 100;
/** A lane that is free for this long is anybody's, whoever's share it is. */
const abandonedMs = 3_000;
/** Nobody works on a lane for this long: something is wrong. */
const unownedMs = 10_000;

type Inner =
  | LeaseMessage
  | { kind: 'look' }
  | { kind: 'seen'; outcome: Outcome<LeaseSight> }
  | { kind: 'news'; news: LeaseNews };

export function leaseDefinition(environment: Environment): ActorDefinition<Inner> {
  return defineActor<Inner>({
    kind: leaseKind,
    role: 'storage',
    priority: 'interactive',
    idleMs: 0,
    create(context) {
      const lease = new Lease(environment, context);
      return {
        onStart: () => lease.start(),
        onMessage: (message) => lease.handle(message),
        onStop: () => lease.stop(),
      };
    },
  });
}

interface LaneRecord {
  /** Undefined: its storage actor has not said yet. */
  state: LaneState | undefined;
  epoch: number;
  /** Since when nobody has been seen holding it; undefined: somebody does. */
  freeSinceMs: number | undefined;
}

class Lease {
  readonly #context: ActorContext<Inner>;
  readonly #postgres: Postgres;
  readonly #isMember: boolean;
  readonly #lanes: LaneRecord[];
  #session: LeaseSession | undefined;
  #members: readonly number[] = [];
  #isLooking = false;
  #isNewsWaiting = false;
  /** A member is short of lanes. */
  #isAsked = false;
  /** Looks in a row that found our share missing. */
  #missing = 0;

  constructor({ settings, postgres }: Environment, context: ActorContext<Inner>) {
    this.#context = context;
    this.#isMember = settings.role !== 'gateway';
    this.#lanes = Array.from({ length: settings.storage.lanes }, () => ({
      state: undefined,
      epoch: 0,
      freeSinceMs: undefined,
    }));
    this.#postgres = openPostgres({
      address: postgres,
      applicationName: 'sluice lease',
      connectTimeoutMs: settings.postgres.connectTimeoutMs,
      poolMax: 1,
    });
  }

  start(): void {
    for (const lane of this.#lanes.keys()) this.#command(lane, 'reportLane');
    this.#look();
  }

  handle(message: Inner): void {
    switch (message.kind) {
      case 'laneReport':
        this.#reported(message);
        return;
      case 'getLease':
        this.#context.reply(this.#stats());
        return;
      case 'look':
        this.#look();
        return;
      case 'seen':
        this.#seen(message.outcome);
        return;
      case 'news':
        this.#heard(message.news);
        return;
    }
  }

  /** The members' lock goes first: whoever then finds our lanes free counts them as his own. */
  async stop(): Promise<void> {
    // A session that was closed counts as broken afterwards.
    const isThere = this.#session?.isBroken === false;
    await this.#session?.close();
    if (isThere) await this.#postgres.query(newsSql({ kind: 'freed' })).catch(() => undefined);
    await this.#postgres.close();
  }

  #reported({ lane, state, epoch }: LaneReport): void {
    const record = this.#lanes[lane];
    if (record === undefined) return;
    record.state = state;
    record.epoch = epoch;
    if (state === 'undecided') this.#look();
  }

  #heard(news: LeaseNews): void {
    if (news.kind === 'stored') {
      if (this.#lanes[news.lane]?.state === 'owner') this.#command(news.lane, 'takeInboxes');
      return;
    }
    if (news.kind === 'short') this.#isAsked = true;
    this.#look();
  }

  #look(): void {
    if (this.#isLooking) {
      this.#isNewsWaiting = true;
      return;
    }
    this.#isLooking = true;
    this.#isNewsWaiting = false;
    this.#context.pipeToSelf(this.#sight(), (outcome) => ({ kind: 'seen', outcome }));
  }

  async #sight(): Promise<LeaseSight> {
    if (this.#session?.isBroken === true) {
      await this.#session.close();
      this.#session = undefined;
    }
    this.#session ??= await LeaseSession.open(this.#postgres, this.#isMember, (news) =>
      this.#context.pipeToSelf(Promise.resolve(), () => ({ kind: 'news', news })),
    );
    return await this.#session.look();
  }

  #seen(outcome: Outcome<LeaseSight>): void {
    this.#isLooking = false;
    const session = this.#session;
    if (!outcome.ok || session === undefined) {
      const text = outcome.ok ? 'the session is gone' : outcome.error.message;
      this.#context.log.warn({}, `the owners of lanes cannot be seen, looking again: ${text}`);
      this.#lookIn(lookMs);
      return;
    }
    const sight = outcome.value;
    const hasChanged = this.#members.join() !== sight.members.join();
    this.#members = sight.members;
    const view = this.#viewOf(sight, session.member);
    if (this.#isMember) this.#act(view, session);
    for (const [lane, { state }] of this.#lanes.entries()) {
      if (state === 'undecided') this.#command(lane, 'standBy');
      if (state === 'owner' && sight.inboxes.has(lane)) this.#command(lane, 'takeInboxes');
    }
    this.#lookAfter(hasChanged, this.#isMember && isShort(view));
  }

  #viewOf({ members, held }: LeaseSight, self: number): LeaseView {
    const own = new Set<number>();
    const abandoned = new Set<number>();
    const nowMs = this.#context.clock.monotonicMs();
    for (const [lane, record] of this.#lanes.entries()) {
      if (record.state === 'taking' || record.state === 'owner') own.add(lane);
      if (held.has(lane)) record.freeSinceMs = undefined;
      else record.freeSinceMs ??= nowMs;
      if (this.#isFreeFor(record, abandonedMs)) abandoned.add(lane);
    }
    return { lanes: this.#lanes.length, members, self, held, own, abandoned };
  }

  #act(view: LeaseView, session: LeaseSession): void {
    for (const lane of lanesToTake(view)) {
      const record = this.#lanes[lane];
      // Its storage actor has not said how it stands: it will, and then we look again.
      if (record?.state !== 'undecided' && record?.state !== 'standby') continue;
      record.state = 'taking';
      this.#command(lane, 'takeLane');
    }
    const lane = this.#isAsked ? laneToGive(view) : undefined;
    this.#isAsked = false;
    if (lane !== undefined && this.#lanes[lane]?.state === 'owner') this.#command(lane, 'giveLane');
    // A lost message is asked for again with the next look.
    if (isShort(view)) void session.tell({ kind: 'short' }).catch(() => undefined);
  }

  #lookAfter(hasChanged: boolean, isMissing: boolean): void {
    this.#missing = isMissing && !hasChanged ? this.#missing + 1 : 0;
    if (this.#isNewsWaiting) this.#look();
    else if (hasChanged || isMissing) this.#lookIn(Math.min(lookMs, lookMsMin * 2 ** this.#missing));
    else this.#lookIn(lookMs);
  }

  #lookIn(ms: number): void {
    this.#context.schedule('look', ms, { kind: 'look' });
  }

  #command(lane: number, kind: LeaseCommand['kind']): void {
    this.#context.ref<StorageMessage>(storageKind, String(lane)).tell({ kind });
  }

  #stats(): LeaseStats {
    return {
      members: this.#members.length,
      unowned: this.#lanes.filter((record) => this.#isFreeFor(record, unownedMs)).length,
      lanes: this.#lanes.map(({ state, epoch }, lane) => ({ lane, state: state ?? 'undecided', epoch })),
    };
  }

  #isFreeFor({ freeSinceMs }: LaneRecord, ms: number): boolean {
    return freeSinceMs !== undefined && this.#context.clock.monotonicMs() - freeSinceMs >= ms;
  }
}
