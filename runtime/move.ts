// Moves one living actor to another thread without losing or reordering a message. Main leads: every thread holds back
// messages to the address and sends a fence behind what it sent before; the owner waits for all fences and stops the
// actor; then every thread learns the new placement and lets go. Whatever fails on the way, all let go and the actor
// lives on, or starts again, where it was.

import type { HandOverOptions } from './hand-over.ts';
import type { PlacementTable } from './placement.ts';

/** A thread as a move needs it: a worker over its control port, or main's own system. */
export interface MoveParticipant {
  readonly threadId: number;
  hold(address: string, epoch: number): Promise<boolean>;
  handOver(address: string, epoch: number, options: HandOverOptions): Promise<boolean>;
  release(address: string, epoch: number, table: PlacementTable | undefined): Promise<void>;
}

export interface Move {
  address: string;
  /** Where it lives now. */
  ownerId: number;
  /** The placement after the move; its epoch names the move. */
  table: PlacementTable;
  /** Every thread that may send, main included. */
  participants: readonly MoveParticipant[];
  /** For the fences and the actor's last messages. */
  deadlineMs: number;
  /** Asked before the point of no return: false when a thread came or went since the move began. */
  isUndisturbed(): boolean;
  /** From here on threads that join are given the new table. */
  commit(): void;
}

/** True when the actor was moved; false when everything is as before. */
export async function moveActor(move: Move): Promise<boolean> {
  const { address, participants, table } = move;
  const isStopped = await stopAtOwner(move);
  const isMoved = isStopped && move.isUndisturbed();
  if (isMoved) move.commit();
  // A thread that is lost meanwhile holds nothing any more; the others must be let go in any case.
  const released = participants.map((one) => one.release(address, table.epoch, isMoved ? table : undefined));
  await Promise.allSettled(released);
  return isMoved;
}

async function stopAtOwner({ address, ownerId, table, participants, deadlineMs }: Move): Promise<boolean> {
  const owner = participants.find((one) => one.threadId === ownerId);
  if (owner === undefined) return false;
  const held = await Promise.allSettled(participants.map((one) => one.hold(address, table.epoch)));
  if (!held.every((one) => one.status === 'fulfilled' && one.value)) return false;
  const peers = participants.filter((one) => one !== owner).map((one) => one.threadId);
  return await owner.handOver(address, table.epoch, { peers, deadlineMs }).catch(() => false);
}
