// Decides who may send events now: from what waits by queue and workspace (storage tells), from the room on the disk of
// an embedded PostgreSQL, and from commits that another server refuses for lack of room. Looked at twice a second, so
// that a request pays for two comparisons. One tenant's backlog refuses that tenant (429); what concerns everybody
// refuses everybody (503); nothing is accepted that could not be kept.

import type { ActorLog, Clock, Metrics } from '../runtime/index.ts';
import type { Alarm, IntakeStatus } from './admin/contract.ts';
import type { Settings } from './config.ts';
import type { DiskLevel, DiskWatch } from './disk-watch.ts';
import type { StoragePressure } from './storage/contract.ts';

const lookMs = 500;
/** Of all that waits, while space is tight: the workspaces that hold so much of it are refused. */
const shedShare = 0.5;
const listedMax = 20;
const levels: readonly DiskLevel[] = ['plenty', 'warn', 'shed', 'refuse'];

export interface IntakeWatchOptions {
  settings: Pick<Settings['storage'], 'queueBytesMax' | 'workspaceBytesMax'>;
  /** Undefined where the disk is not ours to look at. */
  disk: Pick<DiskWatch, 'level' | 'freeBytes' | 'ballastBytes'> | undefined;
  pressure(): Promise<StoragePressure>;
  /** Whether PostgreSQL answers others: then a lane that lost its connection, or its lane, soon has another. */
  databaseUp(): boolean;
  metrics: Metrics;
  clock: Clock;
  log: Pick<ActorLog, 'warn' | 'info'>;
}

export class IntakeWatch {
  readonly #options: IntakeWatchOptions;
  #pressure: StoragePressure = { queues: [], workspaces: [], diskFull: false, isAway: false };
  #closed = '';
  #refused: ReadonlySet<string> = new Set();
  #stopped = false;

  constructor(options: IntakeWatchOptions) {
    this.#options = options;
  }

  /** For every request: this workspace may not send now. */
  isFull(workspaceId: string): boolean {
    return this.#refused.size > 0 && this.#refused.has(workspaceId);
  }

  /** For every request: why nobody may send; '' when they may. The disk is looked at on its own and counts at once. */
  get closedReason(): string {
    return this.#options.disk?.level === 'refuse' ? 'the disk is nearly full' : this.#closed;
  }

  /** Looks now and from then on twice a second. Resolves after the first look; never rejects. */
  async start(): Promise<void> {
    await this.#look();
    if (!this.#stopped) this.#options.clock.setTimer(lookMs, () => void this.start());
  }

  stop(): void {
    this.#stopped = true;
  }

  status(): IntakeStatus {
    const { disk } = this.#options;
    return {
      state: this.closedReason === '' ? 'open' : this.closedReason,
      workspacesRefused: [...this.#refused].slice(0, listedMax),
      workspacesRefusedTotal: this.#refused.size,
      ...(disk === undefined
        ? {}
        : { diskLevel: disk.level, diskFreeBytes: disk.freeBytes, ballastBytes: disk.ballastBytes }),
    };
  }

  alarms(): Alarm[] {
    const { disk } = this.#options;
    const alarms: Alarm[] = [];
    if (this.closedReason !== '') alarms.push({ name: 'intake', text: `no events are accepted: ${this.closedReason}` });
    if (this.#refused.size > 0) alarms.push({ name: 'intake', text: `${this.#refused.size} workspaces are refused` });
    if (disk !== undefined && disk.level !== 'plenty') {
      const free = `${Math.floor(disk.freeBytes / (1024 * 1024))} MiB free`;
      alarms.push({ name: 'disk', text: `${free}${disk.ballastBytes === 0 ? ', no ballast left' : ''}` });
    }
    return alarms;
  }

  recordMetrics(): void {
    const { metrics, disk } = this.#options;
    metrics.gauge('sluice_intake_open', '0 while every event is refused').set(this.closedReason === '' ? 1 : 0);
    metrics
      .gauge('sluice_intake_refused_workspaces', 'Workspaces whose events are refused now')
      .set(this.#refused.size);
    const bytes = metrics.gauge('sluice_queue_pending_bytes', 'Bytes of unfinished jobs by queue');
    for (const { queue, bytes: pending } of this.#pressure.queues) bytes.set(pending, { queue });
    if (disk === undefined) return;
    metrics.gauge('sluice_disk_free_bytes', 'Free on the disk of the embedded PostgreSQL').set(disk.freeBytes);
    metrics.gauge('sluice_disk_level', '0 plenty, 1 warn, 2 shed, 3 refuse').set(levels.indexOf(disk.level));
    metrics.gauge('sluice_disk_ballast_bytes', 'Space that can still be given up').set(disk.ballastBytes);
  }

  async #look(): Promise<void> {
    try {
      this.#pressure = await this.#options.pressure();
    } catch {
      // A storage actor that restarts says nothing for a moment; what it said before still holds.
      return;
    }
    const { settings, disk, log, databaseUp } = this.#options;
    const isAway = this.#pressure.isAway && !databaseUp();
    const closed = closedReason({ ...this.#pressure, isAway }, settings.queueBytesMax);
    const refused = refusedWorkspaces(this.#pressure, settings.workspaceBytesMax, disk?.level === 'shed');
    if (closed !== this.#closed) {
      if (closed === '') log.info({}, 'events are accepted again');
      else log.warn({ reason: closed }, 'events are refused');
    }
    if (refused.size !== this.#refused.size) {
      log.warn({ workspaces: [...refused].slice(0, listedMax), count: refused.size }, 'workspaces are refused');
    }
    this.#closed = closed;
    this.#refused = refused;
  }
}

/** Exported for its test. */
export function closedReason({ queues, diskFull, isAway }: StoragePressure, queueBytesMax: number): string {
  if (isAway) return 'PostgreSQL is away';
  if (diskFull) return 'the disk of PostgreSQL is full';
  const full = queueBytesMax === 0 ? undefined : queues.find(({ bytes }) => bytes >= queueBytesMax);
  return full === undefined ? '' : `the queue ${full.queue} is full`;
}

/** Exported for its test. */
export function refusedWorkspaces(
  { queues, workspaces }: StoragePressure,
  workspaceBytesMax: number,
  isTight: boolean,
): Set<string> {
  const refused = new Set<string>();
  if (workspaceBytesMax > 0) {
    for (const { workspaceId, bytes } of workspaces) if (bytes >= workspaceBytesMax) refused.add(workspaceId);
  }
  if (!isTight) return refused;
  let left = queues.reduce((sum, { bytes }) => sum + bytes, 0) * shedShare;
  for (const { workspaceId, bytes } of workspaces) {
    if (left <= 0) break;
    refused.add(workspaceId);
    left -= bytes;
  }
  return refused;
}
