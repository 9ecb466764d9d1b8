// What a cell does with its mail besides handling it: take it in within bounds, open it, and find another place for what
// it will not handle. No state of its own: an idle actor must stay small.

import type { ActorType } from './actor-type.ts';
import type { ActorAddress } from './address.ts';
import { isEnvironmentFailure, RuntimeError, soundError } from './errors.ts';
import { type Mail, weighMessage } from './mail.ts';
import type { Mailbox } from './mailbox.ts';

/** Messages by reference are weighed only behind this many others: weighing costs more than an empty handler. */
const weighFrom = 16;

/** Whose mail it is. */
interface Owner {
  readonly type: ActorType;
  readonly address: ActorAddress;
}

/** False = refused. Whoever lost its place, this mail or older ones, is already buried. */
export function takeIn({ type, address }: Owner, mailbox: Mailbox, mail: Mail): boolean {
  const { host } = type;
  if (mail.body === undefined && mailbox.size >= weighFrom) mail.bytes = weighMessage(mail.message);
  let lost = mailbox.offer(mail, type.mailbox);
  while (lost !== undefined) {
    host.bury(lost, address, lost === mail ? 'mailbox-full' : 'dropped-oldest');
    if (lost === mail) return false;
    lost = mailbox.offer(mail, type.mailbox);
  }
  return true;
}

/** False = it cannot be read, and is buried. */
export function open({ type, address }: Owner, mail: Mail): boolean {
  if (mail.body === undefined) return true;
  try {
    mail.message = type.host.decodeMessage(mail.body);
    mail.body = undefined;
    return true;
  } catch {
    type.host.bury(mail, address, 'undecodable');
    return false;
  }
}

/** Tells whom it concerns that something was thrown, and whether something outside the actor is to blame. */
export function tellFailure({ type, address }: Owner, state: string, thrown: unknown, mail: Mail | undefined): boolean {
  const { host } = type;
  const isEnvironment = isEnvironmentFailure(thrown);
  const error = soundError(thrown);
  host.counters.failures += 1;
  host.log.error({ ...address, state, error }, 'an actor failed');
  if (mail !== undefined) {
    const text = `the handler of ${type.kind} failed: ${error.message}`;
    const failure = new RuntimeError('HANDLER_FAILED', text, { retryable: isEnvironment, cause: error });
    host.bury(mail, address, 'handler-failed', failure);
  }
  return isEnvironment;
}

/** The actor has stopped: what it was sent and did not handle goes on to where it moved, or is buried. */
export function passOn({ type, address }: Owner, mailbox: Mailbox, why: 'moved' | 'draining' | 'actor-stopped'): void {
  for (let mail = mailbox.shift(); mail !== undefined; mail = mailbox.shift()) {
    if (mail.self !== undefined) continue;
    if (why === 'moved') type.host.reroute(mail, address);
    else type.host.bury(mail, address, why);
  }
}
