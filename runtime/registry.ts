// The actors that live in this thread, by kind and key: made on their first message, passivated when idle, bounded in
// number. Once a second a sweep looks at all of them; it also finds out who used the most time.

import type { ActorType } from './actor-type.ts';
import { type ActorAddress, formatAddress } from './address.ts';
import { Cell } from './cell.ts';
import type { RunningActor } from './running-actor.ts';
import type { Clock } from './seams.ts';
import { CallbackWait, type Timers } from './timers.ts';

export const residentsMaxDefault = 10_000;
export const sweepMs = 1000;
/** How many of the busiest actors a thread reports. */
export const hotActorsMax = 20;

export interface HotActor {
  address: string;
  /** Handler time per second, since the last sweep. */
  busyMs: number;
}

export interface RegistryOptions {
  clock: Clock;
  timers: Timers;
  /** Beyond this the least recently used idle actors are passivated. */
  residentsMax: number;
  /** Where main can read who has its slice. */
  running?: RunningActor | undefined;
  /** After each sweep. */
  swept(): void;
}

/** A kind and those of it that live here, by key. */
interface Residents {
  readonly type: ActorType;
  readonly cells: Map<string, Cell>;
}

export class Registry {
  private readonly kinds = new Map<string, Residents>();
  hot: readonly HotActor[] = [];
  private residents = 0;
  private readonly options: RegistryOptions;
  private readonly sweepWait = new CallbackWait(() => this.sweep());
  private nextEvictionMs = 0;
  private sweptMs = 0;

  constructor(options: RegistryOptions) {
    this.options = options;
  }

  get size(): number {
    return this.residents;
  }

  define(type: ActorType): void {
    this.kinds.set(type.kind, { type, cells: new Map() });
  }

  typeOf(kind: string): ActorType | undefined {
    return this.kinds.get(kind)?.type;
  }

  find(kind: string, key: string): Cell | undefined {
    return this.kinds.get(kind)?.cells.get(key);
  }

  countsByKind(): Record<string, number> {
    return Object.fromEntries([...this.kinds].map(([kind, { cells }]) => [kind, cells.size]));
  }

  /** The kind must be defined here, and no such actor live yet. */
  create(type: ActorType, key: string): Cell {
    const nowMs = this.options.clock.monotonicMs();
    const cell = new Cell(type, key, nowMs);
    cell.place = this.options.running?.claim(cell.address) ?? 0;
    this.kinds.get(type.kind)?.cells.set(key, cell);
    this.residents += 1;
    if (this.sweepWait.place < 0) {
      this.sweptMs = nowMs;
      this.options.timers.add(this.sweepWait, sweepMs);
    }
    if (this.residents > this.options.residentsMax && nowMs >= this.nextEvictionMs) this.evict(nowMs);
    return cell;
  }

  forget({ kind, key }: ActorAddress): void {
    const cells = this.kinds.get(kind)?.cells;
    const cell = cells?.get(key);
    if (cell === undefined) return;
    cells?.delete(key);
    this.residents -= 1;
    this.options.running?.release(cell.place);
  }

  *cells(): Iterable<Cell> {
    for (const { cells } of this.kinds.values()) yield* cells.values();
  }

  private sweep(): void {
    const nowMs = this.options.clock.monotonicMs();
    // A thread that is too busy sweeps late.
    const seconds = Math.max(nowMs - this.sweptMs, 1) / 1000;
    this.sweptMs = nowMs;
    const busy: { cell: Cell; busyUs: number }[] = [];
    for (const cell of this.cells()) {
      if (cell.busyUs > 0) busy.push({ cell, busyUs: cell.busyUs });
      cell.busyUs = 0;
      if (!cell.isPassivable()) continue;
      cell.debtUs = 0;
      if (cell.isIdleSince(nowMs)) cell.requestStop('passivated', () => undefined);
    }
    busy.sort((one, other) => other.busyUs - one.busyUs);
    this.hot = busy.slice(0, hotActorsMax).map(({ cell, busyUs }) => ({
      address: formatAddress(cell.address),
      busyMs: busyUs / 1000 / seconds,
    }));
    if (this.residents > this.options.residentsMax) this.evict(nowMs);
    this.options.swept();
    if (this.residents > 0) this.options.timers.add(this.sweepWait, sweepMs);
  }

  /** Goes a little below the cap, and looks again after a tenth of a second at the earliest: it costs a sort. */
  private evict(nowMs: number): void {
    this.nextEvictionMs = nowMs + sweepMs / 10;
    const excess = this.residents - Math.floor(this.options.residentsMax * 0.95);
    const idle: Cell[] = [];
    for (const cell of this.cells()) if (cell.type.idleMs > 0 && cell.isPassivable()) idle.push(cell);
    idle.sort((one, other) => one.lastActiveMs - other.lastActiveMs);
    for (const cell of idle.slice(0, excess)) cell.requestStop('passivated', () => undefined);
  }
}
