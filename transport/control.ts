// Calls from main to a worker about the worker itself: ready, placement, broadcast, statistics, drain. Comlink carries
// them over a port of their own; it is far too slow for messages. On its own comlink never settles a call when the
// thread dies and loses `code` of an error, so every call has a deadline, a death signal and an outcome as plain data.

import type { MessagePort, Transferable } from 'node:worker_threads';
import * as comlink from 'comlink';
import { type CrossingError, fromCrossingError, TransportError, toCrossingError } from './errors.ts';

/** What a thread offers. Arguments and results must survive a structured clone. */
export type ControlMethods = { [name: string]: (...args: never[]) => unknown };

export interface ControlCallOptions {
  /** Mandatory: a stuck thread answers nothing, and only a deadline notices. */
  timeoutMs: number;
  /** Ports and buffers inside the arguments that change hands. */
  transfer?: readonly Transferable[];
}

/** Longest delay Node's timers take; beyond it they fire at once. */
const timerMsMax = 2 ** 31 - 1;

type Outcome = { ok: true; value: unknown } | { ok: false; error: CrossingError };

/** The one function comlink sees. */
interface Surface {
  call(name: string, args: unknown[]): Promise<Outcome>;
}

/** Serves the calls that arrive on `port`, until it is closed. */
export function exposeControl(port: MessagePort, methods: ControlMethods): void {
  const surface: Surface = {
    async call(name, args) {
      const method = Object.hasOwn(methods, name) ? methods[name] : undefined;
      try {
        if (method === undefined) {
          throw new TransportError('CONTROL_UNKNOWN', `expected a control method, got ${name}`);
        }
        return { ok: true, value: await method(...(args as never[])) };
      } catch (error) {
        return { ok: false, error: toCrossingError(error) };
      }
    },
  };
  comlink.expose(surface, endpointOf(port));
}

/** The calling side. Errors come back with their `code`; CONTROL_TIMEOUT and THREAD_LOST are its own. */
export class ControlClient<Methods extends ControlMethods> {
  readonly #port: MessagePort;
  readonly #surface: comlink.Remote<Surface>;
  readonly #pending = new Set<(reason: Error) => void>();
  #lost: Error | undefined;

  constructor(port: MessagePort) {
    this.#port = port;
    this.#surface = comlink.wrap<Surface>(endpointOf(port));
  }

  call<Name extends keyof Methods & string>(
    name: Name,
    args: Parameters<Methods[Name]>,
    options: ControlCallOptions,
  ): Promise<Awaited<ReturnType<Methods[Name]>>> {
    return new Promise((resolve, reject) => {
      if (this.#lost !== undefined) {
        reject(this.#lost);
        return;
      }
      const settle = () => {
        clearTimeout(timer);
        this.#pending.delete(fail);
      };
      const fail = (reason: Error) => {
        settle();
        reject(reason);
      };
      const waitMs = Math.min(options.timeoutMs, timerMsMax);
      const timer = setTimeout(() => fail(timedOut(name, options.timeoutMs)), waitMs);
      this.#pending.add(fail);
      this.#send(name, args, options.transfer).then(
        (outcome) => {
          settle();
          if (outcome.ok) resolve(outcome.value as Awaited<ReturnType<Methods[Name]>>);
          else reject(fromCrossingError(outcome.error));
        },
        (error: unknown) => fail(notCloned(name, error)),
      );
    });
  }

  /** The thread is gone, or is to be spoken to no more: pending and later calls reject with THREAD_LOST. */
  close(reason: string): void {
    if (this.#lost !== undefined) return;
    const lost = new TransportError('THREAD_LOST', `expected the thread to answer, but ${reason}`, { retryable: true });
    this.#lost = lost;
    for (const fail of [...this.#pending]) fail(lost);
    this.#port.close();
  }

  async #send(name: string, args: unknown[], transfer: readonly Transferable[] = []): Promise<Outcome> {
    const carried = transfer.length === 0 ? args : comlink.transfer(args, [...transfer]);
    return await this.#surface.call(name, carried);
  }
}

function timedOut(name: string, timeoutMs: number): TransportError {
  return new TransportError('CONTROL_TIMEOUT', `expected an answer to ${name} within ${timeoutMs} ms`, {
    retryable: true,
  });
}

/** Comlink rejects by itself only when arguments or result could not be cloned. */
function notCloned(name: string, error: unknown): TransportError {
  return new TransportError('NOT_SERIALIZABLE', `expected arguments and result of ${name} to be plain data`, {
    cause: error,
  });
}

/** Comlink expects events as in a browser; a port hands the data itself to its listeners. */
function endpointOf(port: MessagePort): comlink.Endpoint {
  const listeners = new Map<unknown, (data: unknown) => void>();
  return {
    postMessage: (message: unknown, transfer: Transferable[] = []) => port.postMessage(message, transfer),
    addEventListener: (_type: string, listener: (event: { data: unknown }) => void) => {
      const onMessage = (data: unknown) => listener({ data });
      listeners.set(listener, onMessage);
      port.on('message', onMessage);
    },
    removeEventListener: (_type: string, listener: unknown) => {
      const onMessage = listeners.get(listener);
      if (onMessage !== undefined) port.off('message', onMessage);
      listeners.delete(listener);
    },
    start: () => port.start(),
  };
}
