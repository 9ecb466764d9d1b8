// Which actor has its slice, in memory that main can read although the thread is stuck: a handler that never ends cannot
// say so itself. An actor's address is written when the actor is made, and a slice only writes the number of its place:
// that costs a store per slice. Read when a thread stalls or ends, and then nobody writes any more.
//
// Layout: place of the actor that has its slice, from 1 (0 = none); then per place the length of an address and its
// UTF-16 units, cut after `unitsMax`.

import { type ActorAddress, formatAddress } from './address.ts';

/** Actors beyond this many in one thread have no place. The memory is only used as far as places are. */
const placesMax = 8192;
/** Enough for the kind and the head of any key we make. */
const unitsMax = 63;
const placeUnits = 1 + unitsMax;
const headBytes = 4;
/** Given to actors for which there was no place. */
const unnamed = placesMax + 1;

export const runningActorBytes = headBytes + 2 * placeUnits * placesMax;

export class RunningActor {
  private readonly current: Int32Array;
  private readonly units: Uint16Array;
  private readonly free: number[] = [];
  private used = 0;

  constructor(memory: ArrayBufferLike) {
    this.current = new Int32Array(memory, 0, 1);
    this.units = new Uint16Array(memory, headBytes);
  }

  /** A place for an actor that lives here from now on. */
  claim(address: ActorAddress): number {
    const place = this.free.pop() ?? this.fresh();
    if (place === unnamed) return place;
    const text = formatAddress(address);
    const length = Math.min(text.length, unitsMax);
    const start = (place - 1) * placeUnits;
    this.units[start] = length;
    for (let index = 0; index < length; index += 1) this.units[start + 1 + index] = text.charCodeAt(index);
    return place;
  }

  release(place: number): void {
    if (place !== unnamed) this.free.push(place);
  }

  begin(place: number): void {
    this.current[0] = place;
  }

  /** The thread is about to do something else. */
  end(): void {
    this.current[0] = 0;
  }

  /** The printed address, or its head; undefined when no actor has its slice. */
  read(): string | undefined {
    const place = Atomics.load(this.current, 0);
    if (place <= 0) return undefined;
    if (place > placesMax) return `an actor beyond the first ${placesMax} of its thread`;
    const start = (place - 1) * placeUnits;
    const length = Math.min(this.units[start] ?? 0, unitsMax);
    return String.fromCharCode(...this.units.subarray(start + 1, start + 1 + length));
  }

  private fresh(): number {
    if (this.used >= placesMax) return unnamed;
    this.used += 1;
    return this.used;
  }
}
