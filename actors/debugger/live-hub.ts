// The process's side of the debuggers: who watches what, told to every thread when it changes, and what comes from them
// given to those who watch. Open streams of the admin server read at their own pace; slow ones lose the oldest.

import type { ServerResponse } from 'node:http';
import type { Clock } from '../../runtime/index.ts';
import { AdminError, type AdminRoute } from '../admin/contract.ts';
import { LiveEvents, StreamWatcher, type Watcher } from '../gateway/live-events.ts';
import type { WorkspaceHolder } from '../services/workspace.ts';
import type { LiveSample, LiveTold, Watched } from './contract.ts';

const streamsMax = 16;

type Kind = LiveSample['of'];

export class LiveHub {
  readonly #clock: Clock;
  readonly #hubs: Readonly<Record<Kind, LiveEvents>>;
  readonly #counts: Readonly<Record<Kind, Map<string, number>>> = { delivery: new Map(), transformation: new Map() };
  readonly #streams = new Set<ServerResponse>();
  #broadcast: ((watched: Watched) => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#hubs = { delivery: new LiveEvents(clock), transformation: new LiveEvents(clock) };
  }

  /** From now on threads are told who is watched. */
  follow(broadcast: (watched: Watched) => void): void {
    this.#broadcast = broadcast;
    if (this.#isWatching()) this.#tell();
  }

  offer({ samples }: LiveTold): void {
    for (const { of, destinationId, atMs, payload } of samples) this.#hubs[of].offer(destinationId, atMs, [payload]);
  }

  watch(kind: Kind, destinationId: string, watcher: Watcher): void {
    this.#hubs[kind].watch(destinationId, watcher);
    this.#count(kind, destinationId, 1);
  }

  unwatch(kind: Kind, destinationId: string, watcher: Watcher): void {
    this.#hubs[kind].unwatch(destinationId, watcher);
    this.#count(kind, destinationId, -1);
  }

  routes(workspace: WorkspaceHolder): AdminRoute[] {
    const route = (path: string, kind: Kind, doc: string): AdminRoute => ({
      method: 'GET',
      path,
      doc,
      handle: ({ query }) => {
        const id = query.get('destinationId') ?? '';
        if (workspace.current.destinationById(id) === undefined) {
          throw new AdminError(404, 'expected destinationId to be one of a destination, got another');
        }
        if (this.#streams.size >= streamsMax)
          throw new AdminError(429, `expected at most ${streamsMax} streams at once`);
        return { stream: (response) => this.#stream(kind, id, response) };
      },
    });
    return [
      route('/live/deliveries', 'delivery', 'attempts of a destination as they come: ?destinationId='),
      route(
        '/live/transformations',
        'transformation',
        'events before and after the transformation of a destination: ?destinationId=',
      ),
    ];
  }

  /** A stream has no end of its own: the admin server could not be closed. */
  close(): void {
    for (const response of this.#streams) response.end();
  }

  #stream(kind: Kind, destinationId: string, response: ServerResponse): void {
    const watcher = new StreamWatcher((text) => response.write(text), this.#clock);
    this.#streams.add(response);
    this.watch(kind, destinationId, watcher);
    response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8' });
    response.write(': watching\n\n');
    response.on('drain', () => watcher.drained());
    response.on('close', () => {
      this.#streams.delete(response);
      watcher.close();
      this.unwatch(kind, destinationId, watcher);
    });
  }

  #count(kind: Kind, destinationId: string, change: 1 | -1): void {
    const counts = this.#counts[kind];
    const before = counts.get(destinationId) ?? 0;
    if (before + change > 0) counts.set(destinationId, before + change);
    else counts.delete(destinationId);
    if (before === 0 || before + change === 0) this.#tell();
  }

  #isWatching(): boolean {
    return this.#counts.delivery.size > 0 || this.#counts.transformation.size > 0;
  }

  #tell(): void {
    const { delivery, transformation } = this.#counts;
    this.#broadcast?.({ deliveries: [...delivery.keys()], transformations: [...transformation.keys()] });
  }
}
