// Moves one living actor to another thread without losing or reordering a message. Main leads: every thread holds back
// messages to the address and sends a fence behind what it sent before; the owner waits for all fences and stops the
// actor; then every thread learns the new placement and lets go. Whatever fails on the way, all let go and the actor
// lives on, or starts again, where it was.

import { type ActorAddress, formatAddress } from './address.ts';
import { RuntimeError } from './errors.ts';
import type { HandOverOptions } from './hand-over.ts';
import { Placement, type PlacementTable, withPin } from './placement.ts';

/** A thread as a move needs it: a worker over its control port, or main's own system. */
export interface MoveParticipant {
  readonly threadId: number;
  hold(address: string, epoch: number): Promise<boolean>;
  handOver(address: string, epoch: number, options: HandOverOptions): Promise<boolean>;
  release(address: string, epoch: number, table: PlacementTable | undefined): Promise<void>;
}

/** What moves need of the threads as a whole. */
export interface MoveHost {
  readonly roles: Readonly<Record<string, string>>;
  /** Every thread that may send, main included. */
  participants(): readonly MoveParticipant[];
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

  /** Rejects with MOVE_ABORTED when everything is as before. */
  move(address: ActorAddress, threadId: number): Promise<void> {
    const moved = this.#last.then(() => this.#run(address, threadId));
    this.#last = moved.catch(() => undefined);
    return moved;
  }

  async #run(address: ActorAddress, threadId: number): Promise<void> {
    const host = this.#host;
    const before = host.table();
    const role = host.roles[address.kind] ?? '';
    if (before.threadsByRole[role]?.includes(threadId) !== true) {
      throw new RuntimeError('UNKNOWN_KIND', `expected thread ${threadId} to host actors of kind ${address.kind}`);
    }
    const ownerId = new Placement(before).ownerOf(role, address.kind, address.key) ?? threadId;
    const table = withPin(before, formatAddress(address), threadId);
    const move: Move = { address: formatAddress(address), ownerId, table, participants: host.participants() };
    const meshVersion = host.meshVersion();
    // A thread that came or went meanwhile did not hold, or holds no more: then nothing may change.
    const isMoved = (await this.#stopAtOwner(move, threadId)) && meshVersion === host.meshVersion();
    if (isMoved) host.adopt(table);
    // Settled, not all: a thread that is lost holds nothing any more, the others must be let go in any case.
    await Promise.allSettled(
      move.participants.map((one) => one.release(move.address, table.epoch, isMoved ? table : undefined)),
    );
    if (!isMoved) {
      throw new RuntimeError('MOVE_ABORTED', `expected ${move.address} to move, but it stays`, { retryable: true });
    }
  }

  /** True when the actor lives nowhere and nobody's message to it is on the way. */
  async #stopAtOwner({ address, ownerId, table, participants }: Move, targetId: number): Promise<boolean> {
    if (ownerId === targetId) return true;
    const owner = participants.find((one) => one.threadId === ownerId);
    if (owner === undefined) return false;
    const held = await Promise.allSettled(participants.map((one) => one.hold(address, table.epoch)));
    if (!held.every((one) => one.status === 'fulfilled' && one.value)) return false;
    const peers = participants.filter((one) => one !== owner).map((one) => one.threadId);
    return await owner.handOver(address, table.epoch, { peers, deadlineMs: this.#deadlineMs }).catch(() => false);
  }
}
