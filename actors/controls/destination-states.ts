// Which destinations do not get anything at the moment, and why: those an operator paused or drains, and those that
// routers found down. The latter are kept here only: a program that starts anew has to find out again.

import type { DestinationState } from '../admin/contract.ts';
import type { DestinationFound } from '../process-actor.ts';
import type { Controls } from './contract.ts';

export class DestinationStates {
  readonly #down = new Map<string, { reason: string; sinceMs: number }>();

  note({ destinationId, isDown, reason }: DestinationFound, nowMs: number): void {
    if (!isDown) this.#down.delete(destinationId);
    else if (!this.#down.has(destinationId)) this.#down.set(destinationId, { reason, sinceMs: nowMs });
  }

  /** A thread was lost, and with it routers that would have told. Those that find a destination down tell it again. */
  forgetDown(): void {
    this.#down.clear();
  }

  /** Paused ones first, then draining, then down; the oldest first. */
  list({ paused, drains }: Controls): DestinationState[] {
    const down = [...this.#down].map(
      ([destinationId, { reason, sinceMs }]): DestinationState => ({
        destinationId,
        state: 'down',
        reason,
        sinceAtMs: sinceMs,
      }),
    );
    return [
      ...paused.map(
        ({ destinationId, reason, sinceMs }): DestinationState => ({
          destinationId,
          state: 'paused',
          reason,
          sinceAtMs: sinceMs,
        }),
      ),
      ...drains.map(
        ({ destinationId, reason, sinceMs }): DestinationState => ({
          destinationId,
          state: 'draining',
          reason,
          sinceAtMs: sinceMs,
        }),
      ),
      ...down.sort((a, b) => a.sinceAtMs - b.sinceAtMs),
    ];
  }
}
