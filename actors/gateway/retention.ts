// Forgets what nobody will ask for any more: counters of job runs that have not moved for long, and old webhook failures.
// Once an hour, from every process; a failure is logged and tried again the next hour.

import type { ActorLog, Clock, Timer } from '../../runtime/index.ts';
import type { Postgres } from '../../transport/index.ts';

const periodMs = 3_600_000;

export interface RetentionOptions {
  postgres: Pick<Postgres, 'query'>;
  jobStatusRetentionMs: number;
  webhookFailureRetentionMs: number;
  clock: Clock;
  log: Pick<ActorLog, 'warn'>;
}

export class Retention {
  readonly #options: RetentionOptions;
  #timer: Timer;
  #round: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: RetentionOptions) {
    this.#options = options;
    this.#timer = this.#schedule();
  }

  /** One round now; never rejects. */
  async run(): Promise<void> {
    const { postgres, jobStatusRetentionMs, webhookFailureRetentionMs, log } = this.#options;
    try {
      // A run is kept or forgotten as a whole: sums of which a part is missing would be wrong.
      await postgres.query(
        `with stale as (select job_run_id from sluice_job_run_counts group by job_run_id
                        having max(counted_at) < now() - make_interval(secs => $1)),
              gone as (delete from sluice_job_run_counts where job_run_id in (select job_run_id from stale))
         delete from sluice_failed_records where job_run_id in (select job_run_id from stale)`,
        [jobStatusRetentionMs / 1000],
      );
      await postgres.query('delete from sluice_webhook_failures where failed_at < now() - make_interval(secs => $1)', [
        webhookFailureRetentionMs / 1000,
      ]);
    } catch (error) {
      log.warn({ error }, 'old counters of job runs and webhook failures could not be deleted; tried again in an hour');
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer.cancel();
    await this.#round;
  }

  #schedule(): Timer {
    return this.#options.clock.setTimer(periodMs, () => {
      this.#round = this.run().then(() => {
        if (!this.#stopped) this.#timer = this.#schedule();
      });
    });
  }
}
