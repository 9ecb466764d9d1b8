// The debuggers of destinations and transformations: whoever wants to see now what is delivered, or what code makes of
// events. Threads are told who is watched; what they see there they tell the process, as samples that may be lost. Nothing
// of it is in a transaction, and nothing waits for it.

/** Broadcast to every thread: ids of destinations. */
export interface Watched {
  /** Whose attempts are watched. */
  deliveries: readonly string[];
  /** Whose transformation is watched. */
  transformations: readonly string[];
}

export const watchedTopic = 'watched';

/** One thing that was seen, as JSON in the shape of the field. */
export interface LiveSample {
  of: 'delivery' | 'transformation';
  destinationId: string;
  atMs: number;
  /** JSON text. */
  payload: string;
}

/** From a thread to the process. */
export interface LiveTold {
  kind: 'liveTold';
  samples: LiveSample[];
}
