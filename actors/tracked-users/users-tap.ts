// Notes who the users of a source's events are, as registers of sketches: never as ids. Three sketches, as in the field:
// users, anonymous ids, and those anonymous ids that came together with a user; who is there is
// users + anonymous - identified.

import type { Observation, ObservationCollector } from '../observations/contract.ts';
import { type ObservingSettings, observingOf } from '../observations/observing.ts';
import type { CommitAdditions, EventInHand, Tap, TapFactory } from '../processor/stage.ts';
import { changesOf, registerOf } from './sketch.ts';

export const userSets = ['users', 'anonymous', 'identified'] as const;
export type UserSet = (typeof userSets)[number];

/** Labels of an observation of the topic `users`. */
export interface UsersLabels {
  workspaceId: string;
  sourceId: string;
  set: UserSet;
}

/** Longer ids are none of anybody's. */
const idCharactersMax = 1_024;

export function usersTap(settings: ObservingSettings): TapFactory {
  const make = (): UsersTally => new UsersTally();
  return ({ id: sourceId, ...source }) => {
    if (!observingOf({ id: sourceId, ...source }, settings).users) return undefined;
    const prefix = JSON.stringify({ workspaceId: source.workspaceId, sourceId }).slice(0, -1);
    const note = ({ event }: EventInHand, commit: CommitAdditions): void => {
      const userId = idOf(event.userId);
      const anonymousId = idOf(event.anonymousId);
      const tally = commit.collect(make);
      if (userId !== '') tally.add(prefix, 'users', userId);
      if (event.type === 'alias') tally.add(prefix, 'users', idOf(event.previousId));
      tally.add(prefix, 'anonymous', anonymousId);
      if (userId !== '') tally.add(prefix, 'identified', anonymousId);
    };
    const tap: Tap = {
      processed: ({ inHand }, commit) => note(inHand, commit),
      ended: (_handed, inHand, { kind }, commit) => {
        if (inHand !== undefined && kind !== 'deduplicated') note(inHand, commit);
      },
    };
    return tap;
  };
}

function idOf(value: unknown): string {
  return typeof value === 'string' && value.length <= idCharactersMax ? value : '';
}

class UsersTally implements ObservationCollector {
  readonly #sets = new Map<string, Set<number>>();

  add(prefix: string, set: UserSet, user: string): void {
    if (user === '') return;
    const labels = `${prefix},"set":"${set}"}`;
    let registers = this.#sets.get(labels);
    if (registers === undefined) {
      registers = new Set();
      this.#sets.set(labels, registers);
    }
    registers.add(registerOf(user));
  }

  take(): Observation[] {
    const observations = [...this.#sets].map(
      ([labels, registers]): Observation => ({
        topic: 'users',
        labels,
        count: registers.size,
        sample: '',
        content: changesOf(registers),
      }),
    );
    this.#sets.clear();
    return observations;
  }
}
