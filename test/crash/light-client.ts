// The matrix's end of a light process: starts it, gives it orders, learns what happened to it.

import { type ChildProcess, fork } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { type Cleanup, lastFirst } from '../support/cleanup.ts';
import { within } from '../support/poll.ts';
import { type LightCommand, type LightEvent, type LightOptions, lightOptionsName } from './light-messages.ts';

const answerMs = 60_000;
const outputCharactersMax = 64 * 1024;

export type LightEnd = 'killed' | 'exited';

export class LightProcess {
  port = 0;
  /** Set when it is over. */
  end: LightEnd | undefined;
  readonly ended: Promise<LightEnd>;
  readonly failures: string[] = [];
  /** Fires with the kind of what the process says, and `end`. */
  readonly #events = new EventEmitter();
  readonly #child: ChildProcess;
  #output = '';

  constructor(cleanup: Cleanup, path: string, options: LightOptions) {
    this.#child = fork(path, [], {
      env: { PATH: process.env.PATH, [lightOptionsName]: JSON.stringify(options) },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#events.setMaxListeners(50);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8');
      stream?.on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-outputCharactersMax);
      });
    }
    this.#child.on('message', (event: LightEvent) => {
      if (event.kind === 'ready') this.port = event.port;
      if (event.kind === 'failed') this.failures.push(event.reason);
      this.#events.emit(event.kind, event);
    });
    this.ended = once(this.#child, 'exit').then(([, signal]): LightEnd => {
      this.end = signal === 'SIGKILL' ? 'killed' : 'exited';
      this.#events.emit('end');
      return this.end;
    });
    lastFirst(cleanup).after(() => this.kill());
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get output(): string {
    return this.#output;
  }

  command(command: LightCommand): void {
    if (this.#child.connected) this.#child.send(command);
  }

  /** The event, or undefined when the process ended first. Ask before it can have come. */
  async next<Kind extends LightEvent['kind']>(kind: Kind): Promise<Extract<LightEvent, { kind: Kind }> | undefined> {
    const came = new Promise<Extract<LightEvent, { kind: Kind }> | undefined>((resolve) => {
      if (this.end !== undefined) resolve(undefined);
      this.#events.once(kind, resolve);
      this.#events.once('end', () => resolve(undefined));
    });
    return within(() => `${kind}, got:\n${this.#output.slice(-3_000)}`, answerMs, came);
  }

  async kill(): Promise<void> {
    if (this.end === undefined) this.#child.kill('SIGKILL');
    await this.ended;
  }
}
