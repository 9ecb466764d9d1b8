// Puts the sketches of users together by source and hour, keeps them, tells how many users there were, and reports hours
// that are over. Sketches of several processes and of several parts of an hour are put together like any others.

import type { PostgresSession } from '../../transport/index.ts';
import type { ObservationLog, Observed } from '../observations/observation-log.ts';
import { Sketch } from './sketch.ts';
import { type UserSet, type UsersLabels, userSets } from './users-tap.ts';

const observedMax = 200;
const minutesPerHour = 60;
const readMax = 500;

export interface TrackedUsers {
  workspaceId: string;
  /** '' for all of a workspace. */
  sourceId: string;
  users: number;
  anonymous: number;
  identified: number;
  /** users + anonymous - identified. */
  total: number;
}

export interface UsersQuery {
  sinceHour: number;
  /** Not included. */
  untilHour: number;
  workspaceId: string;
  sourceId: string;
}

/** An hour of a source, for the reporting service. */
export interface UsersHour {
  hour: number;
  workspaceId: string;
  sourceId: string;
  version: number;
  sketches: Record<UserSet, Sketch>;
}

interface Row extends Record<UserSet, Buffer> {
  hour: number;
  workspace_id: string;
  source_id: string;
  version: number;
}

type Sketches = Record<UserSet, Sketch>;

export class TrackedUsersStore {
  readonly #log: ObservationLog;

  constructor(log: ObservationLog) {
    this.#log = log;
  }

  /** Takes over all that has been gathered. */
  async takeOver(): Promise<void> {
    let taken = observedMax;
    while (taken === observedMax) taken = await this.#log.consume('users', observedMax, mergeObserved);
  }

  /** Each source, and each workspace as a whole. */
  async read({ sinceHour, untilHour, workspaceId, sourceId }: UsersQuery): Promise<TrackedUsers[]> {
    const sums = new Map<string, { workspaceId: string; sourceId: string; sketches: Sketches }>();
    const add = (row: Row, source: string): void => {
      const key = `${row.workspace_id}\0${source}`;
      let sum = sums.get(key);
      if (sum === undefined) {
        sum = { workspaceId: row.workspace_id, sourceId: source, sketches: emptySketches() };
        sums.set(key, sum);
      }
      for (const set of userSets) sum.sketches[set].apply(row[set]);
    };
    let after = ['', '', -1] as [string, string, number];
    for (;;) {
      const { rows } = await this.#log.postgres.query<Row>(
        `select hour, workspace_id, source_id, version, users, anonymous, identified from sluice_tracked_users
         where hour >= $1 and hour < $2 and ($3 = '' or workspace_id = $3) and ($4 = '' or source_id = $4)
           and (workspace_id, source_id, hour) > ($5, $6, $7)
         order by workspace_id, source_id, hour limit $8`,
        [sinceHour, untilHour, workspaceId, sourceId, ...after, readMax],
      );
      for (const row of rows) {
        add(row, row.source_id);
        if (sourceId === '') add(row, '');
      }
      const last = rows.at(-1);
      if (rows.length < readMax || last === undefined) break;
      after = [last.workspace_id, last.source_id, last.hour];
    }
    return [...sums.values()].map(({ sketches, ...place }) => {
      const [users, anonymous, identified] = userSets.map((set) => sketches[set].estimate()) as [
        number,
        number,
        number,
      ];
      return { ...place, users, anonymous, identified, total: users + anonymous - identified };
    });
  }

  /** Hours that are over and were not reported as they are now. */
  async unreported(beforeHour: number, limit: number): Promise<UsersHour[]> {
    const { rows } = await this.#log.postgres.query<Row>(
      `select hour, workspace_id, source_id, version, users, anonymous, identified from sluice_tracked_users
       where hour < $1 and reported_version < version order by hour, workspace_id, source_id limit $2`,
      [beforeHour, limit],
    );
    return rows.map((row) => {
      const { hour, version } = row;
      return { hour, version, workspaceId: row.workspace_id, sourceId: row.source_id, sketches: sketchesOf(row) };
    });
  }

  async reported(hours: readonly UsersHour[]): Promise<void> {
    for (const { hour, workspaceId, sourceId, version } of hours) {
      await this.#log.postgres.query(
        `update sluice_tracked_users set reported_version = $4
         where hour = $1 and workspace_id = $2 and source_id = $3`,
        [hour, workspaceId, sourceId, version],
      );
    }
  }

  async forgetBefore(hour: number): Promise<void> {
    await this.#log.postgres.query('delete from sluice_tracked_users where hour < $1', [hour]);
  }
}

async function mergeObserved(session: PostgresSession, observed: Observed[]): Promise<void> {
  const byPlace = new Map<string, { hour: number; workspaceId: string; sourceId: string; sketches: Sketches }>();
  for (const { minute, labels, content } of observed) {
    const { workspaceId, sourceId, set } = JSON.parse(labels) as UsersLabels;
    const hour = Math.floor(minute / minutesPerHour);
    const key = `${hour}\0${workspaceId}\0${sourceId}`;
    let place = byPlace.get(key);
    if (place === undefined) {
      place = { hour, workspaceId, sourceId, sketches: emptySketches() };
      byPlace.set(key, place);
    }
    place.sketches[set].apply(content);
  }
  for (const { hour, workspaceId, sourceId, sketches } of byPlace.values()) {
    const { rows } = await session.query<Row>(
      `select users, anonymous, identified from sluice_tracked_users
       where hour = $1 and workspace_id = $2 and source_id = $3`,
      [hour, workspaceId, sourceId],
    );
    for (const row of rows) for (const set of userSets) sketches[set].apply(row[set]);
    await session.query(
      `insert into sluice_tracked_users as t (hour, workspace_id, source_id, users, anonymous, identified)
       values ($1, $2, $3, $4, $5, $6)
       on conflict (hour, workspace_id, source_id) do update set users = excluded.users,
         anonymous = excluded.anonymous, identified = excluded.identified, version = t.version + 1`,
      [hour, workspaceId, sourceId, ...userSets.map((set) => sketches[set].changes())],
    );
  }
}

function emptySketches(): Sketches {
  return { users: new Sketch(), anonymous: new Sketch(), identified: new Sketch() };
}

function sketchesOf(row: Record<UserSet, Buffer>): Sketches {
  const sketches = emptySketches();
  for (const set of userSets) sketches[set].apply(row[set]);
  return sketches;
}
