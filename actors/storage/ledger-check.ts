// Watches that nothing is lost silently (promise P6) while the program runs. Two looks: the sums in memory against the
// jobs that are pending, which costs nothing and is done often; and the ledger's tables against the sums in memory, which
// reads the tables and is done seldom. A difference is an alarm: told once in the log, as a metric and in the status
// until it is gone. Events are still taken: the accounts being wrong is no reason to refuse what can be stored.

import type { ActorLog, Clock, Metrics } from '../../runtime/index.ts';
import type { LedgerDelta } from './contract.ts';
import type { LedgerTotals } from './ledger.ts';

const lookMs = 10_000;

export interface LedgerCheckOptions {
  lane: number;
  totals: LedgerTotals;
  /** Pending jobs: events at the sources, and those on their way to destinations. */
  pending(): { sources: number; destinations: number };
  /** The last group that the totals hold. */
  lastGroupId(): number;
  /** The sums of the tables, over groups up to this one. */
  readTables(lastGroupId: number): Promise<LedgerDelta[]>;
  /** Between two looks at the tables; 0: never. */
  tablesMs: number;
  metrics: Metrics;
  clock: Clock;
  log: Pick<ActorLog, 'error' | 'info' | 'warn'>;
}

export class LedgerCheck {
  readonly #options: LedgerCheckOptions;
  readonly #gauge;
  #alarm = '';
  #tablesAlarm = '';
  #tablesDueMs: number;
  #stopped = false;
  #look: Promise<void> = Promise.resolve();

  constructor(options: LedgerCheckOptions) {
    this.#options = options;
    this.#gauge = options.metrics.gauge('sluice_ledger_imbalanced', '1 while the ledger does not balance, by lane');
    this.#tablesDueMs = options.clock.monotonicMs() + options.tablesMs;
    this.#tell('');
    this.#later();
  }

  /** What does not balance; '' when everything does. */
  get alarm(): string {
    return this.#alarm;
  }

  /** Both looks now. Never rejects. */
  run(): Promise<void> {
    this.#look = this.#look.then(async () => {
      await this.#lookAtTables();
      this.#lookAtMemory();
    });
    return this.#look;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#look;
  }

  #later(): void {
    const { clock, tablesMs } = this.#options;
    clock.setTimer(lookMs, () => {
      if (this.#stopped) return;
      this.#later();
      const isDue = tablesMs > 0 && clock.monotonicMs() >= this.#tablesDueMs;
      if (isDue) void this.run();
      else this.#lookAtMemory();
    });
  }

  async #lookAtTables(): Promise<void> {
    const { clock, log, lane, tablesMs, totals } = this.#options;
    this.#tablesDueMs = clock.monotonicMs() + tablesMs;
    // Both sides as of the same group: what is committed meanwhile counts on neither.
    const expected = new Map(totals.all().map((total) => [keyOf(total), total.count]));
    try {
      for (const row of await this.#options.readTables(this.#options.lastGroupId())) {
        const key = keyOf(row);
        expected.set(key, (expected.get(key) ?? 0) - row.count);
      }
    } catch (error) {
      log.warn({ lane, error }, 'the ledger could not be read for its check, which is done again later');
      return;
    }
    const wrong = [...expected].find(([, difference]) => difference !== 0);
    this.#tablesAlarm =
      wrong === undefined ? '' : `${Math.abs(wrong[1])} ${wrong[1] > 0 ? 'missing from' : 'too many in'} ${wrong[0]}`;
  }

  #lookAtMemory(): void {
    const { open } = this.#options.totals;
    const pending = this.#options.pending();
    const differences = (['sources', 'destinations'] as const).flatMap((side) => {
      const difference = open[side] - pending[side];
      if (difference === 0) return [];
      return [`${Math.abs(difference)} ${difference > 0 ? 'lost' : 'from nowhere'} at ${side}`];
    });
    if (this.#tablesAlarm !== '') differences.push(this.#tablesAlarm);
    this.#tell(differences.join('; '));
  }

  #tell(alarm: string): void {
    const { lane, log } = this.#options;
    this.#gauge.set(alarm === '' ? 0 : 1, { lane: String(lane) });
    if ((alarm === '') !== (this.#alarm === '')) {
      if (alarm === '') log.info({ lane }, 'the ledger balances again');
      else log.error({ lane, difference: alarm }, 'the ledger does not balance; `sluice ledger` tells where');
    }
    this.#alarm = alarm;
  }
}

/** As people read it. */
function keyOf({ sourceId, destinationId, kind }: Pick<LedgerDelta, 'sourceId' | 'destinationId' | 'kind'>): string {
  return `${kind} of ${sourceId}${destinationId === '' ? '' : ` to ${destinationId}`}`;
}
