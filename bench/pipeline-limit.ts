// The raw limit of the whole way, for rows E1 and E2: bare ingest that also posts every committed event to the sink by a
// bare undici pool and commits that it did, without order, retries, partitions or a look at any content.

import type { Cleanup } from '../test/support/cleanup.ts';
import { pollUntil } from '../test/support/poll.ts';
import { BenchProcess, type LoadRequest, runLoad } from './bench-process.ts';
import type { RawReady, RawStart } from './raw-ingest.ts';
import type { SinkReport } from './sink.ts';

const deliveredMs = 300_000;

export class PipelineLimit {
  readonly #cleanup: Cleanup;
  readonly #port: number;
  readonly #sink: BenchProcess;

  private constructor(cleanup: Cleanup, port: number, sink: BenchProcess) {
    this.#cleanup = cleanup;
    this.#port = port;
    this.#sink = sink;
  }

  static async start(
    cleanup: Cleanup,
    sink: { process: BenchProcess; port: number },
    eventBytes: number,
  ): Promise<PipelineLimit> {
    const raw = new BenchProcess(cleanup, './raw-ingest');
    const order: RawStart = { eventBytes, deliverTo: `http://127.0.0.1:${sink.port}` };
    const { port } = await raw.ask<RawReady>(order);
    return new PipelineLimit(cleanup, port, sink.process);
  }

  /** Events per second from the first request to the last delivery. */
  async deliveredPerSecond(load: LoadRequest): Promise<number> {
    const beganAt = performance.now();
    const { eventsTotal } = await runLoad(this.#cleanup, { ...load, port: this.#port });
    let arrived = 0;
    const look = async (): Promise<true | undefined> => {
      arrived += (await this.#sink.ask<SinkReport>('report')).events;
      return arrived >= eventsTotal ? true : undefined;
    };
    await pollUntil(`${eventsTotal} events of the raw limit to arrive`, look, deliveredMs);
    return (arrived / (performance.now() - beganAt)) * 1000;
  }
}
