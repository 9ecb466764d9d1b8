// The source debugger: whoever wants to see what a source sends now. It costs one comparison while nobody does, and it can
// hold up no request: events are sampled when they are written, offered once they are committed, and kept in small rings
// that drop their oldest; watchers take them at their own pace.
//
// Watchers: open streams of the admin server (GET /live), and the control plane for sources whose `config.eventUpload` is
// true. An event on its way: sampled -> in a ring -> sent | dropped and counted.

import type { ServerResponse } from 'node:http';
import type { Clock, Timer } from '../../runtime/index.ts';
import { AdminError, type AdminRoute } from '../admin/contract.ts';
import type { SourceConfig } from '../services/workspace.ts';

/** One event as it was stored. */
export interface LiveEvent {
  receivedAtMs: number;
  /** JSON text. */
  payload: string;
}

/** Of one request: more tell nothing more about a source. */
const sampledPerRequest = 4;
/** A larger event is not shown. */
const payloadCharactersMax = 64 * 1024;
/** Of one source in a second, over all requests. */
const sampledPerSecond = 100;
const msPerSecond = 1_000;

/** Keeps the newest. */
export class EventRing {
  readonly #max: number;
  #events: LiveEvent[] = [];
  #dropped = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get isEmpty(): boolean {
    return this.#events.length === 0;
  }

  push(event: LiveEvent): void {
    this.#events.push(event);
    if (this.#events.length <= this.#max) return;
    this.#events.shift();
    this.#dropped += 1;
  }

  /** At most `max` of the oldest, and how many were dropped since the last time. */
  take(max: number): { events: LiveEvent[]; dropped: number } {
    const dropped = this.#dropped;
    this.#dropped = 0;
    return { events: this.#events.splice(0, max), dropped };
  }
}

export interface Watcher {
  readonly ring: EventRing;
  /** There is something in the ring. Never throws. */
  wake(): void;
}

export class LiveEvents {
  readonly #clock: Clock;
  readonly #watchers = new Map<string, Set<Watcher>>();
  readonly #sampled = new Map<string, { second: number; count: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many events of this request are to be sampled; 0 nearly always. Hot: asked for every request. */
  wanted(sourceId: string): number {
    if (this.#watchers.size === 0 || !this.#watchers.has(sourceId)) return 0;
    const second = Math.floor(this.#clock.monotonicMs() / msPerSecond);
    const sampled = this.#sampled.get(sourceId);
    if (sampled?.second !== second) {
      this.#sampled.set(sourceId, { second, count: sampledPerRequest });
      return sampledPerRequest;
    }
    sampled.count += sampledPerRequest;
    return sampled.count > sampledPerSecond ? 0 : sampledPerRequest;
  }

  /** Events that are committed now. */
  offer(sourceId: string, receivedAtMs: number, payloads: readonly string[]): void {
    for (const watcher of this.#watchers.get(sourceId) ?? []) {
      for (const payload of payloads) {
        if (payload.length <= payloadCharactersMax) watcher.ring.push({ receivedAtMs, payload });
      }
      if (!watcher.ring.isEmpty) watcher.wake();
    }
  }

  watch(sourceId: string, watcher: Watcher): void {
    const watchers = this.#watchers.get(sourceId) ?? new Set();
    watchers.add(watcher);
    this.#watchers.set(sourceId, watchers);
  }

  unwatch(sourceId: string, watcher: Watcher): void {
    const watchers = this.#watchers.get(sourceId);
    watchers?.delete(watcher);
    if (watchers?.size !== 0) return;
    this.#watchers.delete(sourceId);
    this.#sampled.delete(sourceId);
  }
}

const streamsMax = 16;
const streamRingMax = 256;
const streamTakeMax = 64;
const keepAliveMs = 15_000;

export interface LiveRouteOptions {
  live: LiveEvents;
  sourceByWriteKey(writeKey: string): SourceConfig | undefined;
  clock: Clock;
}

/** The open streams of the admin server. */
export class LiveStreams {
  readonly #options: LiveRouteOptions;
  readonly #open = new Set<ServerResponse>();

  constructor(options: LiveRouteOptions) {
    this.#options = options;
  }

  /** GET /live?writeKey=…: what a source sends from now on, as server-sent events. */
  route(): AdminRoute {
    return {
      method: 'GET',
      path: '/live',
      doc: 'events of a source as they come, as server-sent events: ?writeKey=',
      handle: ({ query }) => {
        const source = this.#options.sourceByWriteKey(query.get('writeKey') ?? '');
        if (source === undefined) throw new AdminError(404, 'expected writeKey to be one of a source, got another');
        if (source.transient === true)
          throw new AdminError(403, 'the source is transient: its events are shown to nobody');
        if (this.#open.size >= streamsMax) throw new AdminError(429, `expected at most ${streamsMax} streams at once`);
        return { stream: (response) => this.#stream(source.id, response) };
      },
    };
  }

  /** A stream has no end of its own: the admin server could not be closed. */
  close(): void {
    for (const response of this.#open) response.end();
  }

  #stream(sourceId: string, response: ServerResponse): void {
    const { live, clock } = this.#options;
    const watcher = new StreamWatcher((text) => response.write(text), clock);
    this.#open.add(response);
    live.watch(sourceId, watcher);
    response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8' });
    response.write(': watching\n\n');
    response.on('drain', () => watcher.drained());
    response.on('close', () => {
      this.#open.delete(response);
      watcher.close();
      live.unwatch(sourceId, watcher);
    });
  }
}

/** Writes what is in its ring while the reader keeps up; else waits, and the ring drops. */
export class StreamWatcher implements Watcher {
  readonly ring = new EventRing(streamRingMax);
  readonly #write: (text: string) => boolean;
  readonly #clock: Clock;
  #isFull = false;
  #keepAlive: Timer;

  /** `write` tells whether there is room for more. */
  constructor(write: (text: string) => boolean, clock: Clock) {
    this.#write = write;
    this.#clock = clock;
    this.#keepAlive = this.#schedule();
  }

  wake(): void {
    while (!this.#isFull && !this.ring.isEmpty) {
      const { events, dropped } = this.ring.take(streamTakeMax);
      let text = dropped > 0 ? `event: dropped\ndata: ${dropped}\n\n` : '';
      for (const { receivedAtMs, payload } of events) text += `id: ${receivedAtMs}\ndata: ${oneLine(payload)}\n\n`;
      this.#isFull = !this.#write(text);
    }
  }

  drained(): void {
    this.#isFull = false;
    this.wake();
  }

  close(): void {
    this.#isFull = true;
    this.#keepAlive.cancel();
  }

  /** Proxies close streams that are silent. */
  #schedule(): Timer {
    return this.#clock.setTimer(keepAliveMs, () => {
      if (!this.#isFull) this.#isFull = !this.#write(': still here\n\n');
      this.#keepAlive = this.#schedule();
    });
  }
}

/** Line breaks of JSON stand between its tokens only, so a space means the same. */
function oneLine(json: string): string {
  return json.replaceAll(/[\r\n]+/g, ' ');
}
