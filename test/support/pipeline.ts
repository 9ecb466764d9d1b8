// What nearly every end-to-end test begins with: a destination, a workspace that sends one source there, and the
// program, ready. Retries are fast by default, so that a test of retries takes no minutes.

import { join } from 'node:path';
import { type Cleanup, temporaryFolder } from './cleanup.ts';
import { type FakeDestination, startDestination } from './fake-destination.ts';
import { type GatewayAnswer, post, track } from './gateway-client.ts';
import type { SentEvent } from './order-checker.ts';
import { type Program, type ProgramOptions, startProgram } from './program.ts';
import { type SourceSpec, writeWorkspace } from './workspace-file.ts';

export const writeKey = 'wk-test';
export const sourceId = 'src-test';
export const destinationId = 'dst-test';

export interface Pipeline {
  program: Program;
  destination: FakeDestination;
  /** Rewrite it to change the configuration of the running program. */
  workspaceFile: string;
}

export interface PipelineOptions extends ProgramOptions {
  /** Default: one source with one destination at `/`. */
  sources?: (destination: FakeDestination) => SourceSpec[];
}

export const fastRetries: Readonly<Record<string, string>> = {
  SLUICE_ROUTER_RETRY_BACKOFF_MS_MIN: '20',
  SLUICE_ROUTER_RETRY_BACKOFF_MS_MAX: '200',
};

export function oneSource(destination: FakeDestination): SourceSpec[] {
  return [{ id: sourceId, writeKey, destinations: [{ id: destinationId, url: destination.url() }] }];
}

export async function startPipeline(cleanup: Cleanup, options: PipelineOptions = {}): Promise<Pipeline> {
  const { sources = oneSource, ...programOptions } = options;
  const destination = await startDestination(cleanup);
  const workspaceFile = join(await temporaryFolder(cleanup), 'workspaceConfig.json');
  writeWorkspace(workspaceFile, sources(destination));
  const env = { ...fastRetries, ...options.env };
  const program = await startProgram(cleanup, { workspaceFile, ...programOptions, env });
  await program.waitReady();
  return { program, destination, workspaceFile };
}

/** Sends one event; for tests in which everything must be accepted. */
export async function send(program: Program, event: Record<string, unknown>): Promise<void> {
  const answer = await post(`${program.gatewayUrl}/v1/track`, event, { writeKey });
  if (answer.status !== 200) throw new Error(`expected 200, got ${answer.status} ${answer.text}`);
}

export function asSent(event: { userId: string; messageId: string; properties: { sequence: number } }): SentEvent {
  return { userId: event.userId, messageId: event.messageId, sequence: event.properties.sequence };
}

/** What a load of several users got back. An event without an answer may or may not have been stored. */
export class UserLoad {
  readonly acknowledged: SentEvent[] = [];
  readonly uncertain: SentEvent[] = [];
  readonly refused: GatewayAnswer[] = [];
  #stopped = false;

  stop(): void {
    this.#stopped = true;
  }

  /**
   * Every user sends one event after the other, each only after the answer to the one before, until stopped, until
   * `eventsPerUser`, or until the program is gone. Nobody retries: what got no answer is not sent again.
   */
  async run(program: Program, users: number, run: string, eventsPerUser = Number.POSITIVE_INFINITY): Promise<void> {
    const names = Array.from({ length: users }, (_, index) => `${run}-user-${index}`);
    await Promise.all(names.map((name) => this.#runUser(program, name, run, eventsPerUser)));
  }

  async #runUser(program: Program, userId: string, run: string, events: number): Promise<void> {
    for (let sequence = 0; sequence < events && !this.#stopped; sequence += 1) {
      const event = track(userId, sequence, run);
      try {
        const answer = await post(`${program.gatewayUrl}/v1/track`, event, { writeKey });
        if (answer.status === 200) this.acknowledged.push(asSent(event));
        else this.refused.push(answer);
      } catch {
        // The program was killed while it held the request: nobody knows whether the commit came first.
        this.uncertain.push(asSent(event));
        return;
      }
    }
  }
}
