// A program with its sink, for scenarios that need a fresh one for every measurement because what one leaves behind
// (backlog of a dead destination) would be the next one's neighbour.

import { CleanupList } from '../test/support/cleanup.ts';
import { pollUntil } from '../test/support/poll.ts';
import type { Program } from '../test/support/program.ts';
import type { SourceSpec } from '../test/support/workspace-file.ts';
import { BenchProcess, type LoadRequest, runLoad } from './bench-process.ts';
import { type Durability, durabilityOf, ledgerCheck, startBenchProgram } from './bench-program.ts';
import type { Check, Run } from './harness/scenario.ts';
import type { LoadResult, RequestShape } from './load-generator.ts';
import type { SinkReport } from './sink.ts';

const ledgerLooks = 20;
const arrivedMs = 300_000;

export const singleEvent: RequestShape = { path: '/v1/track', eventsPerRequest: 1, weight: 1 };
export const batchOf20: RequestShape = { path: '/v1/batch', eventsPerRequest: 20, weight: 1 };

export class ProgramSite {
  readonly program: Program;
  readonly sink: BenchProcess;
  readonly durability: Durability;
  readonly #cleanup: CleanupList;

  private constructor(cleanup: CleanupList, program: Program, sink: BenchProcess, durability: Durability) {
    this.#cleanup = cleanup;
    this.program = program;
    this.sink = sink;
    this.durability = durability;
  }

  /** `sources` is given the address of the sink. */
  static async start(
    { cleanup: outer, ...run }: Pick<Run, 'cleanup' | 'productFlags' | 'profileFolder'>,
    sources: (sinkUrl: string) => SourceSpec[],
  ): Promise<ProgramSite> {
    const cleanup = new CleanupList();
    outer.after(() => cleanup.run());
    const sink = new BenchProcess(cleanup, './sink');
    const { port } = await sink.next<{ port: number }>();
    const program = await startBenchProgram({ ...run, cleanup }, { sources: sources(`http://127.0.0.1:${port}`) });
    return new ProgramSite(cleanup, program, sink, await durabilityOf(program));
  }

  load(request: Partial<LoadRequest> & Pick<LoadRequest, 'writeKeys' | 'seconds'>): Promise<LoadResult> {
    return runLoad(this.#cleanup, {
      host: '127.0.0.1',
      port: this.program.options.gatewayPort,
      requests: [singleEvent],
      eventBytes: 1024,
      connections: 64,
      warmUpSeconds: 0,
      ratePerSecond: 0,
      dropsLate: false,
      requestsMax: 0,
      ...request,
    });
  }

  report(): Promise<SinkReport> {
    return this.sink.ask<SinkReport>('report');
  }

  /** Waits until so many events came, at any path or at one; everything reported meanwhile, at least one report. */
  async arrivals(events: number, path?: string): Promise<SinkReport[]> {
    const reports: SinkReport[] = [];
    let arrived = 0;
    const look = async (): Promise<true | undefined> => {
      const report = await this.report();
      reports.push(report);
      arrived += path === undefined ? report.events : (report.byPath[path]?.requests ?? 0);
      return arrived >= events ? true : undefined;
    };
    await pollUntil(`${events} events to arrive`, look, arrivedMs);
    return reports;
  }

  /** While deliveries go on, status and ledger are of different moments: one balanced look out of many is a balance. */
  async ledger(): Promise<Check> {
    let check = await ledgerCheck(this.#cleanup, this.program);
    for (let look = 1; look < ledgerLooks && check.faults.length > 0; look += 1) {
      check = await ledgerCheck(this.#cleanup, this.program);
    }
    return check;
  }

  stop(): Promise<void> {
    return this.#cleanup.run();
  }
}
