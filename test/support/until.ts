// Waits for a state that sends no signal of its own, by turns of the event loop instead of by the clock. For use
// where the change is certain to come from sockets or threads that are already at work.

import { realTurn } from '../../runtime/seams.ts';

/** Turns after which the wait is given up: far more than any of our tests needs, and still an end. */
const turnsMax = 2_000_000;

export async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < turnsMax; turn += 1) {
    if (condition()) return;
    await realTurn();
  }
  throw new Error(`expected ${condition.toString()} to become true`);
}
