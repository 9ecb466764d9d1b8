// The only actor that talks to the job tables, one for each lane. While this process owns the lane it funnels
// everybody's commits into groups and hands committed jobs on (owned-lane.ts); while another one does, it stores what
// the gateway accepts in an inbox of the owner (inbox-writer.ts). The lease actor says which (lease-actor.ts). Handlers
// only enqueue: no message ever waits for Postgres, its sender does.
//
// undecided --standBy--> standby --takeLane--> taking --recovered, inboxes taken over--> owner
//     \------takeLane--------------------------/  \--somebody else owns it--> standby
// owner --giveLane--> giving --consumers have left, lock released--> standby;  owner --fenced--> standby
// Undecided, and in the last step of taking, commits wait here: the jobs of one gateway are stored in their order.

import {
  type ActorContext,
  type ActorDefinition,
  defineActor,
  type Outcome,
  type Replier,
} from '../../runtime/index.ts';
import { openPostgres, type Postgres } from '../../transport/index.ts';
import type { Environment } from '../environment.ts';
import { consumerKinds } from '../job.ts';
import { consumerKey } from '../lanes.ts';
import {
  type Commit,
  type CommitReply,
  type ConsumerMessage,
  type JobsFound,
  type LaneReport,
  type LaneState,
  type LeaseMessage,
  leaseKey,
  leaseKind,
  type OpenPartition,
  type StorageMessage,
  type StorageStats,
  storageKind,
  type WantedJobs,
} from './contract.ts';
import { fenceSql } from './group-writer.ts';
import { InboxImport } from './inbox-import.ts';
import { InboxWriter } from './inbox-writer.ts';
import { findJobs } from './job-lookup.ts';
import { OwnedLane, type OwnedMessage } from './owned-lane.ts';
import { LaneOwnedError } from './ownership.ts';
import { pressureOf } from './pressure.ts';
import { CommitFigures, collectStats, type ServerFacts, serverFacts, standbyStats } from './stats.ts';

/** Rows and replies for everybody: a mailbox for what arrives during one long handler, not for a backlog. */
const mailbox = { capacity: 65_536, bytesMax: 512 * 1024 * 1024 };

type Inner =
  | StorageMessage
  | OwnedMessage
  | { kind: 'recovered'; outcome: Outcome<OwnedLane> }
  | { kind: 'caughtUp'; outcome: Outcome<void> }
  | { kind: 'given' };

export function storageDefinition(environment: Environment): ActorDefinition<Inner> {
  return defineActor<Inner>({
    kind: storageKind,
    role: 'storage',
    priority: 'interactive',
    mailbox,
    idleMs: 0,
    create(context) {
      const storage = new Storage(environment, context);
      return {
        onStart: () => storage.start(),
        onMessage: (message) => storage.handle(message),
        onStop: (reason) => storage.stop(reason === 'drain' || reason === 'migrating'),
      };
    },
  });
}

const notOwner: CommitReply = {
  kind: 'refused',
  reason: 'another process owns this lane: ask its admin server',
  sqlState: '',
};

class Storage {
  readonly #environment: Environment;
  readonly #context: ActorContext<Inner>;
  readonly #figures: CommitFigures;
  readonly #postgres: Postgres;
  readonly #lane: number;
  readonly #inbox: InboxWriter;
  #state: LaneState = 'undecided';
  #taking: Promise<OwnedLane> | undefined;
  #owned: OwnedLane | undefined;
  #import: InboxImport | undefined;
  #server: ServerFacts | undefined;
  /** Asks that wait until it is known who owns the lane. */
  #undecided: (() => void)[] = [];
  /** Undefined: commits do not wait here. */
  #deferred: { commit: Commit; replier: Replier }[] | undefined = [];

  constructor(environment: Environment, context: ActorContext<Inner>) {
    this.#environment = environment;
    this.#context = context;
    this.#lane = Number(context.key);
    this.#figures = new CommitFigures(environment.telemetry.metrics);
    this.#postgres = openPostgres({
      address: environment.postgres,
      applicationName: `sluice storage ${context.key}`,
      statementTimeoutMs: environment.settings.postgres.statementTimeoutMs,
      connectTimeoutMs: environment.settings.postgres.connectTimeoutMs,
    });
    this.#inbox = this.#createInbox();
  }

  async start(): Promise<void> {
    this.#server = await this.#postgres.withSession(serverFacts);
    this.#report();
  }

  handle(message: Inner): void {
    switch (message.kind) {
      case 'commit':
        this.#commit(message);
        return;
      case 'getStats': {
        const replier = this.#context.replier();
        this.#whenDecided(() => replier.reply(this.#stats()));
        return;
      }
      case 'getPressure':
        this.#replyPressure();
        return;
      case 'lookUpJobs': {
        const replier = this.#context.replier();
        this.#whenDecided(() => this.#lookUp(message.wanted, replier));
        return;
      }
      case 'maintain': {
        const replier = this.#context.replier();
        this.#whenDecided(() => this.#maintain(replier));
        return;
      }
      case 'takeLane':
        if (this.#state === 'undecided' || this.#state === 'standby') this.#take();
        else this.#report();
        return;
      case 'standBy':
        if (this.#state === 'undecided') this.#standBy();
        else this.#report();
        return;
      case 'giveLane':
        if (this.#state === 'owner') this.#give();
        return;
      case 'takeInboxes':
        if (this.#state === 'owner') this.#takeInboxes();
        return;
      case 'reportLane':
        this.#report();
        return;
      case 'recovered':
        this.#recovered(message.outcome);
        return;
      case 'caughtUp':
        this.#caughtUp(message.outcome);
        return;
      case 'given':
        this.#standBy();
        return;
      default:
        this.#handleOwned(message);
    }
  }

  #handleOwned(message: OwnedMessage): void {
    if (this.#owned !== undefined) this.#owned.handle(message);
    else if (this.#deferred !== undefined && message.kind !== 'readSeen')
      this.#undecided.push(() => this.#handleOwned(message));
    else if (message.kind === 'openPartition') this.#turnAway(message);
  }

  async stop(afterDrain: boolean): Promise<void> {
    // A lane that is being taken right now is given back, whoever awaits it.
    const owned = this.#owned ?? (await this.#taking?.catch(() => undefined));
    if (!afterDrain) this.#owned = undefined;
    if (afterDrain) await this.#import?.stop();
    await owned?.close(afterDrain);
    this.#owned = undefined;
    await this.#inbox.close();
    await this.#postgres.close();
  }

  #commit(commit: Commit): void {
    // The way of every commit in a process that owns the lane.
    if (this.#state === 'owner' || (this.#owned !== undefined && commit.results.length > 0)) {
      this.#owned?.commit(commit, this.#context.replier());
      return;
    }
    const replier = this.#context.replier();
    if (this.#deferred !== undefined) this.#deferred.push({ commit, replier });
    else this.#storeForOwner(commit, replier);
  }

  /** Results belong to sessions of the lane's owner; new jobs are welcome anywhere. */
  #storeForOwner(commit: Commit, replier: Replier): void {
    if (commit.results.length > 0) replier.reply({ kind: 'stale' } satisfies CommitReply);
    else if (commit.redriven !== undefined) replier.reply(notOwner);
    else this.#inbox.store(commit, replier);
  }

  /** Recovery reads while commits still go to the inbox; then what the inboxes hold is taken over. */
  #take(): void {
    this.#setState('taking');
    this.#taking = this.#recover();
    this.#context.pipeToSelf(this.#taking, (outcome) => ({ kind: 'recovered', outcome }));
  }

  #recover(): Promise<OwnedLane> {
    const { settings, instanceId } = this.#environment;
    return OwnedLane.take({
      lane: this.#lane,
      settings,
      postgres: this.#postgres,
      owner: instanceId,
      context: this.#context,
      figures: this.#figures,
      address: this.#environment.postgres,
      metrics: this.#environment.telemetry.metrics,
      onLost: (error) => this.#lost(error),
    });
  }

  #recovered(outcome: Outcome<OwnedLane>): void {
    this.#taking = undefined;
    if (!outcome.ok) {
      const isHeld = outcome.error instanceof LaneOwnedError;
      const text = `the lane was not taken: ${outcome.error.message}`;
      this.#context.log[isHeld ? 'info' : 'warn']({ lane: this.#lane }, text);
      this.#standBy();
      return;
    }
    const owned = outcome.value;
    this.#owned = owned;
    this.#import = new InboxImport({
      lane: this.#lane,
      postgres: this.#postgres,
      log: this.#context.log,
      fenceSql: () => fenceSql(owned.fence),
      commit: (commit, replier, imported) => owned.commit(commit, replier, imported),
    });
    owned.begin();
    // The first pass takes what may have piled up; then nothing more comes from here, and the second takes the rest.
    this.#context.pipeToSelf(this.#catchUp(this.#import), (result) => ({ kind: 'caughtUp', outcome: result }));
  }

  async #catchUp(inboxes: InboxImport): Promise<void> {
    await inboxes.run();
    this.#deferred ??= [];
    await this.#inbox.close();
    await inboxes.run();
  }

  #caughtUp(outcome: Outcome<void>): void {
    const owned = this.#owned;
    if (owned === undefined) return;
    if (!outcome.ok) {
      this.#context.log.warn({ lane: this.#lane }, `inboxes could not be taken over: ${outcome.error.message}`);
      this.#drop(owned);
      return;
    }
    this.#setState('owner');
    this.#context.log.info({ lane: this.#lane, epoch: owned.epoch }, 'this process owns the lane');
    for (const { commit, replier } of this.#takeDeferred()) owned.commit(commit, replier);
  }

  #takeInboxes(): void {
    this.#import?.run().catch((error: unknown) => {
      this.#figures.trouble();
      this.#context.log.warn({ lane: this.#lane }, `inboxes are tried again: ${String(error)}`);
    });
  }

  /** To another member that is short of lanes. New commits of the gateway go to the inbox from now on. */
  #give(): void {
    const owned = this.#owned;
    if (owned === undefined) return;
    this.#setState('giving');
    this.#context.log.info({ lane: this.#lane }, 'this process gives the lane to another one');
    const given = this.#leave(owned);
    this.#context.pipeToSelf(given, () => ({ kind: 'given' }));
  }

  async #leave(owned: OwnedLane): Promise<void> {
    await this.#import?.stop();
    await owned.give();
    this.#forget(owned);
  }

  #lost(error: Error): void {
    const owned = this.#owned;
    if (owned === undefined) return;
    this.#context.log.error({ lane: this.#lane }, `this process lost the lane and stands by: ${error.message}`);
    this.#drop(owned);
  }

  #drop(owned: OwnedLane): void {
    this.#forget(owned);
    void owned.close(false).catch((error: unknown) => this.#context.log.warn({ error }, 'a lost lane was not closed'));
    this.#standBy();
  }

  #forget(owned: OwnedLane): void {
    if (this.#owned !== owned) return;
    this.#owned = undefined;
    this.#import = undefined;
  }

  #standBy(): void {
    this.#setState('standby');
    for (const { commit, replier } of this.#takeDeferred()) this.#storeForOwner(commit, replier);
  }

  #takeDeferred(): { commit: Commit; replier: Replier }[] {
    const deferred = this.#deferred ?? [];
    this.#deferred = undefined;
    for (const run of this.#undecided.splice(0)) run();
    return deferred;
  }

  #setState(state: LaneState): void {
    this.#state = state;
    this.#report();
  }

  #report(): void {
    const report: LaneReport = {
      kind: 'laneReport',
      lane: this.#lane,
      state: this.#state,
      epoch: this.#owned?.epoch ?? 0,
    };
    this.#context.ref<LeaseMessage>(leaseKind, leaseKey).tell(report);
  }

  #whenDecided(run: () => void): void {
    if (this.#deferred === undefined) run();
    else this.#undecided.push(run);
  }

  #maintain(replier: Replier): void {
    const round = this.#owned?.maintain() ?? Promise.resolve();
    void round.then(() => replier.reply({ kind: 'maintained' }));
  }

  /** Tables tell it of any lane; only the owner knows what is in hand. */
  #lookUp(wanted: WantedJobs, replier: Replier): void {
    const found = this.#postgres.withSession((session) => findJobs(session, wanted, this.#lane));
    void found.then(
      (jobs) => {
        for (const job of jobs) {
          job.isHandedOut = this.#owned?.handOff.isHandedOut(job.queue, job.partition, job.jobId) === true;
        }
        replier.reply({ kind: 'jobsFound', jobs } satisfies JobsFound);
      },
      (error: unknown) => replier.reply({ kind: 'lookUpFailed', reason: String(error) } satisfies JobsFound),
    );
  }

  /** Its consumer shall not wait for jobs that others are given; once the lane is here it is woken. */
  #turnAway({ queue, partition, session }: OpenPartition): void {
    const key = consumerKey(this.#lane, partition, this.#environment.settings.storage.lanes);
    const consumer = this.#context.ref<ConsumerMessage>(consumerKinds[queue], key);
    consumer.tell({ kind: 'leavePartition', session, isLost: true });
  }

  #stats(): StorageStats {
    if (this.#server === undefined) throw new Error('expected the storage actor to be started');
    const owned = this.#owned;
    if (owned === undefined) return standbyStats(this.#server, !this.#inbox.isInTrouble, this.#figures);
    const { handOff, ledger, lane, maintenance, ledgerCheck } = owned;
    return collectStats({ handOff, ledger, lane, maintenance, server: this.#server }, this.#figures, ledgerCheck.alarm);
  }

  /** Of a lane that another process owns, that process tells. */
  #replyPressure(): void {
    const diskFull = this.#figures.isDiskFull(this.#context.clock.monotonicMs());
    this.#context.reply({ ...pressureOf(this.#owned, this.#environment), diskFull });
  }

  #createInbox(): InboxWriter {
    return new InboxWriter({
      lane: this.#lane,
      postgres: this.#postgres,
      writer: this.#environment.instanceId,
      groupBytesMax: this.#environment.settings.storage.groupBytesMax,
      nowMs: () => this.#context.clock.nowMs(),
      onCommitted: (commits, rows, bytes) => this.#figures.group(commits, rows, bytes),
      onTrouble: (error) => {
        this.#figures.trouble(error, this.#context.clock.monotonicMs());
        this.#context.log.warn({ lane: this.#lane }, `events for another process were not stored: ${error.message}`);
      },
    });
  }
}
