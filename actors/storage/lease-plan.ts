// Which lanes a process should own, decided by every process for itself from what all of them can see: who is there,
// which lanes are held, and which of those are its own. Pure. Shares differ by one lane at most, and the oldest members
// have the larger ones, so that nothing moves when somebody joins or leaves but what has to.

export interface LeaseView {
  /** Lanes there are. */
  lanes: number;
  /** Numbers of all members, our own among them. */
  members: readonly number[];
  self: number;
  /** Lanes that somebody holds. */
  held: ReadonlySet<number>;
  /** Lanes that we hold or are taking. */
  own: ReadonlySet<number>;
  /** Lanes that nobody has taken for so long that whoever should have cannot. */
  abandoned: ReadonlySet<number>;
}

/** Lanes of one member's share. */
export function shareOf({ lanes, members, self }: Pick<LeaseView, 'lanes' | 'members' | 'self'>): number {
  const rank = members.filter((member) => member < self).length;
  const count = Math.max(1, members.length);
  return Math.floor(lanes / count) + (rank < lanes % count ? 1 : 0);
}

/** Free lanes to take now. */
export function lanesToTake(view: LeaseView): number[] {
  const missing = Math.max(0, shareOf(view) - view.own.size);
  const free: number[] = [];
  for (let lane = 0; lane < view.lanes; lane += 1) if (!view.held.has(lane) && !view.own.has(lane)) free.push(lane);
  const due = free.slice(0, missing);
  return [...due, ...free.slice(missing).filter((lane) => view.abandoned.has(lane))];
}

/** True when our share is missing and only another member could give it. */
export function isShort(view: LeaseView): boolean {
  return view.own.size + lanesToTake(view).length < shareOf(view);
}

/** A lane to give back to a member that is short; one at a time, because each changes the view. */
export function laneToGive(view: LeaseView): number | undefined {
  return view.own.size > shareOf(view) ? Math.max(...view.own) : undefined;
}
