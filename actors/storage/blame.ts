// Who is at fault when Postgres fails a group. Data that can never be stored (SQLSTATE classes 21 to 23, 54000) is
// refused at once; what passes by itself (connections, resources, locks, serialization) is tried again for ever. What is
// left is unknown: rights that were taken away, a damaged table, a bug of ours. Then it is tried again for a while, and
// afterwards the group is to blame only if Postgres proves to take others: an event must not be given up because of the
// server, nor may one event hold up everybody else's for ever.

import { PostgresError, TransportError } from '../../transport/index.ts';

/** With the lane's pauses between them, a second and a half. */
const unknownTriesMax = 6;
/** Of a part of a group that is known to be at fault. */
const unknownTriesOfPartMax = 1;
/** After so many statements that took too long, a group is written in parts. */
const slowTriesMax = 3;

export type Verdict =
  | 'again'
  /** Provided that Postgres proves to take others. */
  | 'blame'
  /** It is only too much at once. */
  | 'split';

export class Blame {
  readonly #triesMax: number;
  #unknown = 0;
  #slow = 0;

  /** `isPart`: of a group that was blamed. */
  constructor(isPart: boolean) {
    this.#triesMax = isPart ? unknownTriesOfPartMax : unknownTriesMax;
  }

  /** `error` is no refusal of the data. */
  judge(error: unknown): Verdict {
    const category = categoryOf(error);
    if (category === 'timeout') {
      this.#slow += 1;
      return this.#slow >= slowTriesMax ? 'split' : 'again';
    }
    if (category !== 'other') return 'again';
    this.#unknown += 1;
    return this.#unknown >= this.#triesMax ? 'blame' : 'again';
  }
}

/** Postgres refuses the data itself: trying again changes nothing. */
export function isRefusal(error: unknown): error is PostgresError {
  const category = error instanceof TransportError ? Reflect.get(error, 'category') : undefined;
  return category === 'data' || category === 'constraint';
}

/** Why a group was blamed, as its sender is told. */
export function blamedFor(error: unknown): PostgresError {
  if (error instanceof PostgresError) return error;
  return new PostgresError('other', error instanceof Error ? error.message : String(error), { cause: error });
}

/** What is thrown by our own code on the way to Postgres is as unknown as what Postgres does not explain. */
function categoryOf(error: unknown): unknown {
  return error instanceof TransportError ? Reflect.get(error, 'category') : 'other';
}
