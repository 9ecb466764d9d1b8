// Product diagnostics: off unless an operator names where they go. A few figures of the program itself, as events to the
// data plane of his choice; never anything of what it carries. Fire and forget: what cannot be sent is forgotten.

import type { Clock, MetricSnapshot, Random } from '../../runtime/index.ts';
import { PollLoop } from './poll-loop.ts';
import { basicCredentials, type ServiceClient, ServiceError } from './service-client.ts';
import type { ServiceHealth } from './service-health.ts';

export interface DiagnosticsOptions {
  client: ServiceClient;
  url: string;
  writeKey: string;
  everyMs: number;
  timeoutMs: number;
  /** Stands for this process; random, not made of anything of the machine. */
  anonymousId: string;
  version: string;
  /** Numbers of now: no names, no ids. */
  figures(): Record<string, number>;
  newId(): string;
  health: ServiceHealth;
  clock: Clock;
  random: Random;
}

export class Diagnostics {
  readonly #options: DiagnosticsOptions;
  readonly #loop: PollLoop;
  #event = 'server start';

  constructor(options: DiagnosticsOptions) {
    this.#options = options;
    const { clock, random, everyMs, health } = options;
    this.#loop = new PollLoop({
      everyMs,
      clock,
      random,
      run: () => this.#send(),
      onError: (error) => health.failed(error instanceof Error ? error.message : String(error)),
    });
  }

  start(): void {
    this.#loop.start();
  }

  /** One round now. Resolves to whether it succeeded. */
  now(): Promise<boolean> {
    return this.#loop.now();
  }

  close(): Promise<void> {
    return this.#loop.close();
  }

  async #send(): Promise<boolean> {
    const { client, url, writeKey, timeoutMs, anonymousId, version, figures, newId, health, clock } = this.#options;
    const event = {
      type: 'track',
      event: this.#event,
      messageId: newId(),
      anonymousId,
      originalTimestamp: new Date(clock.nowMs()).toISOString(),
      properties: { version, ...figures() },
    };
    try {
      const { status } = await client.call({
        method: 'POST',
        url: new URL(`${url.replace(/\/+$/, '')}/v1/batch`),
        headers: { Authorization: basicCredentials(writeKey), 'Content-Type': 'application/json' },
        body: Buffer.from(JSON.stringify({ batch: [event] })),
        timeoutMs,
      });
      if (status !== 200)
        throw new ServiceError('REFUSED', `expected of the data plane status 200, got ${status}`, status);
      this.#event = 'gateway figures';
      health.succeeded();
      return true;
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      health.failed(error.message);
      return false;
    }
  }
}

/** Requests of the gateway since its start, by how they ended. */
export function requestFigures(snapshot: readonly MetricSnapshot[]): Record<string, number> {
  const figures = { requestsAccepted: 0, requestsRefused: 0 };
  for (const instrument of snapshot) {
    if (instrument.name !== 'sluice_gateway_requests_total' || instrument.kind === 'histogram') continue;
    for (const { labels, value } of instrument.series) {
      if (labels.status === '200') figures.requestsAccepted += value;
      else figures.requestsRefused += value;
    }
  }
  return figures;
}
