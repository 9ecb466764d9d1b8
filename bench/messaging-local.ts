// What a message costs inside one thread: our tell beside a bare loop over a queue, and beside the two actor libraries
// of npm that are kept up and do the same job in one thread (nact for actors, xstate for its actor model).

import { dispatch, query, spawn, start, stop } from 'nact';
import { createActor, fromTransition } from 'xstate';
import type { ActorSystem } from '../runtime/index.ts';
import { type Start, window } from './messaging-actors.ts';

export const localMessages = 2_000_000;
/** Fewer for what is slower: a rate needs time, not messages. */
export const libraryMessages = 200_000;

/** Messages per second through a pump actor that keeps one window of them under way; `arm` is given its end. */
export async function pumpRate(
  system: ActorSystem,
  order: Start,
  arm: (finished: () => void) => void,
): Promise<number> {
  const pump = system.ref<Start>('pump', 'a');
  const began = performance.now();
  await new Promise<void>((resolve) => {
    arm(resolve);
    pump.tell(order);
  });
  return rate(order.messages, began);
}

/** A queue of objects and a handler: what the loop alone costs. */
export function bareLoopRate(): number {
  let handled = 0;
  const handler = (): void => {
    handled += 1;
  };
  const queue: { message: unknown; handler: () => void }[] = [];
  const began = performance.now();
  for (let sent = 0; sent < localMessages; sent += window) {
    for (let index = 0; index < window; index += 1) queue.push({ message: index, handler });
    for (const item of queue) item.handler();
    queue.length = 0;
  }
  return rate(handled, began);
}

/** The same window and the same grants as our pump, in nact. */
export async function nactRate(): Promise<number> {
  const system = start();
  const began = performance.now();
  await new Promise<void>((resolve) => {
    let unsent = libraryMessages;
    let handled = 0;
    const sink = spawn(system, (state: number, _message: number) => {
      handled += 1;
      if (handled === libraryMessages) resolve();
      else if (handled % (window / 2) === 0) send(window / 2);
      return state;
    });
    const send = (count: number): void => {
      for (let left = Math.min(count, unsent); left > 0; left -= 1) dispatch(sink, left);
      unsent -= Math.min(count, unsent);
    };
    send(window);
  });
  const perSecond = rate(libraryMessages, began);
  stop(system);
  return perSecond;
}

/** Asks inside one thread, one after the other: microseconds each. */
export async function nactAskTimes(asks: number): Promise<number[]> {
  const system = start();
  const echo = spawn(system, (state: number, message: { sender: Parameters<typeof dispatch>[0] }) => {
    dispatch(message.sender, 1);
    return state;
  });
  const timesUs: number[] = [];
  for (let index = 0; index < asks; index += 1) {
    const began = performance.now();
    await query(echo, (sender) => ({ sender }), 1000);
    timesUs.push((performance.now() - began) * 1000);
  }
  stop(system);
  return timesUs;
}

/** xstate runs the handler inside `send`: no queue between, no other actor's turn. */
export function xstateRate(): number {
  let handled = 0;
  const sink = createActor(
    fromTransition((state: number, _event: { type: 'note' }) => {
      handled += 1;
      return state;
    }, 0),
  );
  sink.start();
  const began = performance.now();
  for (let sent = 0; sent < libraryMessages; sent += 1) sink.send({ type: 'note' });
  const perSecond = rate(handled, began);
  sink.stop();
  return perSecond;
}

function rate(messages: number, began: number): number {
  return (messages / (performance.now() - began)) * 1000;
}
