// Reads the JSON of the admin port's /status as tests need it: strict about what they use, silent about the rest.

export interface StatusQueue {
  queue: string;
  pending: number;
  oldestAgeMs: number;
}

export function queuesOf(status: unknown): StatusQueue[] {
  const queues = property(status, 'queues');
  if (!Array.isArray(queues)) throw new Error(`expected /status to list queues, got ${JSON.stringify(queues)}`);
  return queues.map((entry) => ({
    queue: String(property(entry, 'queue')),
    pending: Number(property(entry, 'pending')),
    oldestAgeMs: Number(property(entry, 'oldestAgeMs')),
  }));
}

export function pendingJobs(status: unknown): number {
  return queuesOf(status).reduce((sum, { pending }) => sum + pending, 0);
}

export function property(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
