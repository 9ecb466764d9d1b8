// The router as an actor type: one per partition of the `rt` queue. What it does is in router.ts.

import { type ActorDefinition, defineActor } from '../../runtime/index.ts';
import { createEgressGuard, HttpClient } from '../../transport/index.ts';
import type { Environment } from '../environment.ts';
import { processKey, processKind } from '../process-actor.ts';
import { BytesBudget } from '../storage/partition-session.ts';
import { BreakerMemory } from './breaker.ts';
import { type RouterMessage, routerKind } from './contract.ts';
import { CustomDelivery } from './custom/custom-delivery.ts';
import { customTypes } from './custom/custom-types.ts';
import { createHttpDelivery, type Delivery } from './delivery.ts';
import { OauthAccounts, OauthDelivery } from './oauth/oauth-delivery.ts';
import { Router } from './router.ts';
import { transformedDelivery } from './transformed-delivery.ts';

/** Answers of token servers. */
const tokenBytesMax = 64 * 1024;
const mailboxBytesMax = 64 * 1024 * 1024;
/** Jobs that all routers of a thread hold, also those that wait for a retry. */
const threadBytesMax = 256 * 1024 * 1024;

/** `deliveryFor`: how requests leave; by default HTTP, one client per thread. */
export function routerDefinition(
  environment: Environment,
  deliveryFor: (nowMs: () => number) => Delivery = httpDelivery(environment),
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

/** One client, and one memory of tokens, for all of a thread. */
function httpDelivery({ settings }: Environment): (nowMs: () => number) => Delivery {
  const { httpTimeoutMs: timeoutMs, requestsInFlightMax } = settings.router;
  const { allow, proxy } = settings.egress;
  const guard = createEgressGuard({ allow });
  const limits = { connectTimeoutMs: timeoutMs, connectionsMax: requestsInFlightMax };
  const client = new HttpClient({ ...limits, guard, proxy });
  let accounts: OauthAccounts | undefined;
  return (nowMs) => {
    accounts ??= new OauthAccounts({
      http: new HttpClient({ connectTimeoutMs: timeoutMs, responseBytesMax: tokenBytesMax, guard, proxy }),
      controlPlaneHttp: new HttpClient({ connectTimeoutMs: timeoutMs, responseBytesMax: tokenBytesMax }),
      controlPlane: settings.backendConfig,
      timeoutMs,
      nowMs,
    });
    const http = new OauthDelivery({ inner: createHttpDelivery(client, { timeoutMs, nowMs }), accounts });
    return new CustomDelivery({ inner: http, types: customTypes, context: { guard, timeoutMs, nowMs } });
  };
}
