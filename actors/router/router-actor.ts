// The router as an actor type: one per partition of the `rt` queue. What it does is in router.ts.

import { type ActorDefinition, defineActor } from '../../runtime/index.ts';
import type { Environment } from '../environment.ts';
import { processKey, processKind } from '../process-actor.ts';
import { BytesBudget } from '../storage/partition-session.ts';
import { BreakerMemory } from './breaker.ts';
import { type RouterMessage, routerKind } from './contract.ts';
import type { Delivery } from './delivery.ts';
import { openDelivery } from './open-delivery.ts';
import { Router } from './router.ts';
import { transformedDelivery } from './transformed-delivery.ts';

const mailboxBytesMax = 64 * 1024 * 1024;
/** Jobs that all routers of a thread hold, also those that wait for a retry. */
const threadBytesMax = 256 * 1024 * 1024;

/** `deliveryFor`: how requests leave; by default HTTP, one client per thread. */
export function routerDefinition(
  environment: Environment,
  deliveryFor: (nowMs: () => number) => Delivery = openDelivery(environment.settings).deliveryFor,
): ActorDefinition<RouterMessage> {
  const budget = new BytesBudget(threadBytesMax, environment.memory);
  const breakers = new BreakerMemory();
  const transformed = transformedDelivery(environment.settings, environment.workspace);
  return defineActor<RouterMessage>({
    kind: routerKind,
    role: 'actors',
    idleMs: environment.settings.router.idleMs,
    remedy: 'split its partition with router.shards, or choose a finer router.isolation',
    mailbox: { bytesMax: mailboxBytesMax },
    create(context) {
      const inner = deliveryFor(() => context.clock.nowMs());
      environment.observers?.attach(context.ref(processKind, processKey));
      const delivery = transformed?.(inner, context) ?? inner;
      const router = new Router(context, environment, { delivery, budget, breakers });
      return {
        onStart: () => router.open(),
        onMessage: (message) => router.receive(message),
        onStop: (reason) => router.stop(reason),
      };
    },
  });
}
