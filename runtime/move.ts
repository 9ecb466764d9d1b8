// Moves one living actor to another thread without losing or reordering a message. Main leads: every thread holds back
// messages to the address and sends a fence behind what it sent before; the owner waits for all fences and stops the
// actor; then it sends a fence behind what the actor sent, for which all others wait; then every thread learns the new
// placement and lets go. Whatever fails on the way, all let go and the actor lives on, or starts again, where it was.

import type { ControlClient } from '../transport/index.ts';
import { type ActorAddress, formatAddress } from './address.ts';
import { RuntimeError } from './errors.ts';
import type { HandOverOptions } from './hand-over.ts';
import { Placement, type PlacementTable, withPin } from './placement.ts';
import type { ActorSystem } from './system.ts';
import type { ThreadControl } from './thread-contract.ts';

/** A thread as a move needs it: a worker over its control port, or main's own system. */
export interface MoveParticipant {
  readonly threadId: number;
  hold(address: string, epoch: number): Promise<boolean>;
  handOver(address: string, epoch: number, options: HandOverOptions): Promise<boolean>;
  fence(address: string, epoch: number): Promise<boolean>;
  release(address: string, epoch: number, table: PlacementTable | undefined): Promise<void>;
}

/** Main takes part by its own system. */
export function systemParticipant(system: ActorSystem): MoveParticipant {
  return {
    threadId: system.threadId,
    hold: async (address, epoch) => system.hold(address, epoch),
    handOver: (address, epoch, options) => system.handOver(address, epoch, options),
    fence: async (address, epoch) => system.fence(address, epoch),
    release: async (address, epoch, table) => system.release(address, epoch, table),
  };
}

export function threadParticipant(
  threadId: number,
  control: ControlClient<ThreadControl>,
  timeoutMs: number,
): MoveParticipant {
  return {
    threadId,
    hold: (address, epoch) => control.call('hold', [address, epoch], { timeoutMs }),
    handOver: (address, epoch, options) => control.call('handOver', [address, epoch, options], { timeoutMs }),
    fence: (address, epoch) => control.call('fence', [address, epoch], { timeoutMs }),
    release: (address, epoch, table) => control.call('release', [address, epoch, table], { timeoutMs }),
  };
}

/** What moves need of the threads as a whole. */
export interface MoveHost {
  readonly roles: Readonly<Record<string, string>>;
  /** Every thread that may send, main included. */
  participants(): readonly MoveParticipant[];
  /** Why nothing moves any more; undefined while actors may move. */
  refusal(): RuntimeError | undefined;
  /** Changes whenever a thread joins or is lost. */
  meshVersion(): number;
  table(): PlacementTable;
  /** From here on threads that join are given this table. */
  adopt(table: PlacementTable): void;
}

interface Move {
  address: string;
  ownerId: number;
  /** The placement after the move; its epoch names the move. */
  table: PlacementTable;
  participants: readonly MoveParticipant[];
}

/** Moves actors one after the other: a table names one move. */
export class Mover {
  readonly #host: MoveHost;
  readonly #deadlineMs: number;
  #last: Promise<void> = Promise.resolve();

  /** `deadlineMs`: for the fences and the actor's last messages. */
  constructor(host: MoveHost, deadlineMs: number) {
    this.#host = host;
    this.#deadlineMs = deadlineMs;
  }

  /**
   * Moves the actor to the thread and keeps it there; undefined takes a pin back, and it goes where the hash says.
   * Rejects with MOVE_ABORTED when everything is as before, or with what the host says when it moves nothing any more.
   */
  move(address: ActorAddress, threadId: number | undefined): Promise<void> {
    const moved = this.#last.then(() => this.#run(address, threadId));
    this.#last = moved.catch(() => undefined);
    return moved;
  }

  async #run(address: ActorAddress, pinnedTo: number | undefined): Promise<void> {
    const host = this.#host;
    const refusal = host.refusal();
    if (refusal !== undefined) throw refusal;
    const before = host.table();
    const placement = new Placement(before);
    const role = Object.hasOwn(host.roles, address.kind) ? (host.roles[address.kind] ?? '') : '';
    const table = withPin(before, formatAddress(address), pinnedTo);
    const threadId = pinnedTo ?? new Placement(table).ownerOf(role, address.kind, address.key);
    if (threadId === undefined || !placement.hosts(role, threadId)) {
      const thread = threadId === undefined ? 'any thread' : `thread ${threadId}`;
      throw new RuntimeError('UNKNOWN_KIND', `expected ${thread} to host actors of kind ${address.kind}`);
    }
    const ownerId = placement.ownerOf(role, address.kind, address.key) ?? threadId;
    const move: Move = { address: formatAddress(address), ownerId, table, participants: host.participants() };
    const meshVersion = host.meshVersion();
    // A thread that came or went meanwhile did not hold, or holds no more: then nothing may change.
    const isMoved = (await this.#stopAtOwner(move, threadId)) && meshVersion === host.meshVersion();
    // The epoch is spent also when nothing moved: a fence of this move that comes late must not count for the next one.
    host.adopt(isMoved ? table : { ...host.table(), epoch: table.epoch });
    // Settled, not all: a thread that is lost holds nothing any more, the others must be let go in any case.
    await Promise.allSettled(
      move.participants.map((one) => one.release(move.address, table.epoch, isMoved ? table : undefined)),
    );
    if (!isMoved) {
      throw host.refusal() ?? new RuntimeError('MOVE_ABORTED', `expected ${move.address} to move, but it stays`);
    }
  }

  /** True when the actor lives nowhere and nobody's message to it is on the way. */
  async #stopAtOwner({ address, ownerId, table, participants }: Move, targetId: number): Promise<boolean> {
    if (ownerId === targetId) return true;
    const owner = participants.find((one) => one.threadId === ownerId);
    if (owner === undefined) return false;
    if (!(await allTrue(participants.map((one) => one.hold(address, table.epoch))))) return false;
    const others = participants.filter((one) => one !== owner);
    const peers = others.map((one) => one.threadId);
    const deadlineMs = this.#deadlineMs;
    if (!(await allTrue([owner.handOver(address, table.epoch, { peers, deadlineMs })]))) return false;
    return await allTrue([
      owner.fence(address, table.epoch),
      ...others.map((one) => one.handOver(address, table.epoch, { peers: [ownerId], deadlineMs })),
    ]);
  }
}

/** Waits for all, so that nothing of a move called off is still under way. A thread that is lost counts as false. */
async function allTrue(answers: readonly Promise<boolean>[]): Promise<boolean> {
  const settled = await Promise.allSettled(answers);
  return settled.every((one) => one.status === 'fulfilled' && one.value);
}
