// Finds actors that wait for each other: A asks B while B waits for an answer that hangs on A. Both would wait until
// their deadlines, every time. It walks the asks that are under way at each new one, so it is for tests, which switch
// it on; nothing of it runs otherwise.

import { type ActorAddress, formatAddress } from './address.ts';
import type { AskOutcome } from './asks.ts';
import { RuntimeError } from './errors.ts';

export class AskChain {
  /** Asker → those it waits for, with how many asks. */
  private readonly waits = new Map<string, Map<string, number>>();

  /** The outcome to use instead; throws ASK_CYCLE, naming the chain, when this ask would close one. */
  watch(from: ActorAddress, to: ActorAddress, outcome: AskOutcome): AskOutcome {
    const asker = formatAddress(from);
    const asked = formatAddress(to);
    const chain = this.pathBetween(asked, asker);
    if (chain !== undefined) {
      throw new RuntimeError('ASK_CYCLE', `expected asks to form no cycle, got ${[asker, ...chain].join(' > ')}`);
    }
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
