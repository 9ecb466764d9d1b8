// What a client is told once storage has said what became of its events, with what was found before about each of them.

import { type Answer, answers, type EventVerdict, verdictsAnswer } from './answers.ts';
import type { StoreOutcome } from './store-batcher.ts';

export const outcomeAnswers: Readonly<Record<StoreOutcome, Answer>> = {
  stored: answers.ok,
  unavailable: answers.unavailable,
  refused: answers.refusedByStorage,
};

/** What is known about the events of a request before their commit. */
export interface Told {
  firstRefusal: Answer | undefined;
  verdicts: EventVerdict[] | undefined;
  /** Those of the rows, in their order. */
  stored: EventVerdict[];
}

export function answerOf(told: Told, outcome: StoreOutcome, refusedRows: readonly number[] | undefined): Answer {
  if (outcome !== 'stored') return outcomeAnswers[outcome];
  const { firstRefusal, verdicts, stored } = told;
  for (const row of refusedRows ?? []) refuseRow(stored[row]);
  if (verdicts !== undefined) return verdictsAnswer(200, verdicts);
  if (firstRefusal !== undefined) return firstRefusal;
  // A request that was refused whole may have been stored in halves without a loss.
  return (refusedRows ?? []).length === 0 ? answers.ok : answers.notAnEvent;
}

function refuseRow(verdict: EventVerdict | undefined): void {
  if (verdict === undefined) return;
  verdict.ok = false;
  verdict.reason = answers.refusedByStorage.body.trimEnd();
}
