// Finds actors that wait for each other: A asks B while B waits for an answer that hangs on A. Both would wait until
// their deadlines, every time. It walks the asks that are under way at each new one, so it is for tests, which switch
// it on; nothing of it runs otherwise.
//
// An ask to another thread carries along who waits for its asker. There it is known for as long as the ask is open, so
// that a circle through any number of threads is found by the ask that would close it, or, when two close it at once
// from both ends, by the thread where they meet.

import { type ActorAddress, formatAddress } from './address.ts';
import type { AskOutcome } from './asks.ts';
import { RuntimeError } from './errors.ts';

/** Addresses an ask carries along: the nearest ones. A longer circle is not found, it ends by its deadlines. */
export const askChainMax = 16;
const separator = '\n';

export class AskChain {
  /** Asker → those it waits for, with how many asks. */
  private readonly waits = new Map<string, Map<string, number>>();
  /** What an ask of another thread added to `waits`. */
  private readonly foreign = new Map<object, readonly (readonly [asker: string, asked: string])[]>();

  /** The outcome to use instead; throws ASK_CYCLE, naming the chain, when this ask would close one. */
  watch(from: ActorAddress, to: ActorAddress, outcome: AskOutcome): AskOutcome {
    const asker = formatAddress(from);
    const asked = formatAddress(to);
    this.refuseCycle(asker, asked, asker);
    this.count(asker, asked, 1);
    return {
      resolve: (value) => {
        this.count(asker, asked, -1);
        outcome.resolve(value);
      },
      reject: (error) => {
        this.count(asker, asked, -1);
        outcome.reject(error);
      },
    };
  }

  /** Who waits for `asker`, in the form in which an envelope carries it. */
  waitersOf(asker: ActorAddress): string {
    const found = new Set([formatAddress(asker)]);
    for (const one of found) {
      for (const [waiter, asked] of this.waits) {
        if (found.size > askChainMax) break;
        if (asked.has(one)) found.add(waiter);
      }
    }
    return [...found].slice(1).join(separator);
  }

  /** An ask came from another thread; `settled` ends it. Throws ASK_CYCLE when it closes a circle. */
  admit(ask: object, from: ActorAddress, to: ActorAddress, waiters: string): void {
    const asker = formatAddress(from);
    const asked = formatAddress(to);
    const chain = waiters === '' ? [] : waiters.split(separator);
    for (const one of [asker, ...chain]) this.refuseCycle(asker, asked, one);
    const added = [[asker, asked] as const, ...chain.map((waiter) => [waiter, asker] as const)];
    for (const [waiter, awaited] of added) this.count(waiter, awaited, 1);
    this.foreign.set(ask, added);
  }

  /** The ask of another thread was answered, or is not waited for any more. */
  settled(ask: object): void {
    for (const [waiter, awaited] of this.foreign.get(ask) ?? []) this.count(waiter, awaited, -1);
    this.foreign.delete(ask);
  }

  private refuseCycle(asker: string, asked: string, end: string): void {
    const chain = this.pathBetween(asked, end);
    if (chain === undefined) return;
    throw new RuntimeError('ASK_CYCLE', `expected asks to form no cycle, got ${[asker, ...chain].join(' > ')}`);
  }

  private pathBetween(start: string, end: string, seen = new Set<string>()): string[] | undefined {
    if (start === end) return [end];
    seen.add(start);
    for (const next of this.waits.get(start)?.keys() ?? []) {
      const rest = seen.has(next) ? undefined : this.pathBetween(next, end, seen);
      if (rest !== undefined) return [start, ...rest];
    }
    return undefined;
  }

  private count(asker: string, asked: string, by: number): void {
    const waits = this.waits.get(asker) ?? new Map<string, number>();
    const left = (waits.get(asked) ?? 0) + by;
    if (left > 0) waits.set(asked, left);
    else waits.delete(asked);
    if (waits.size > 0) this.waits.set(asker, waits);
    else this.waits.delete(asker);
  }
}
