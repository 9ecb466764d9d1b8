// The way of deliveries as it is composed in every thread, and for a test event: tokens and senders of their own stand
// before plain HTTP.

import { createEgressGuard, HttpClient } from '../../transport/index.ts';
import type { Settings } from '../config.ts';
import { CustomDelivery } from './custom/custom-delivery.ts';
import { customTypes } from './custom/custom-types.ts';
import { createHttpDelivery, type Delivery } from './delivery.ts';
import { OauthAccounts, OauthDelivery } from './oauth/oauth-delivery.ts';

/** Answers of token servers. */
const tokenBytesMax = 64 * 1024;

export interface DeliveryWay {
  /** One for each router; connections and tokens are shared by all of them. */
  deliveryFor(nowMs: () => number): Delivery;
  close(): Promise<void>;
}

export function openDelivery({
  router,
  egress,
  backendConfig,
}: Pick<Settings, 'router' | 'egress' | 'backendConfig'>): DeliveryWay {
  const { httpTimeoutMs: timeoutMs, requestsInFlightMax: connectionsMax } = router;
  const { allow, proxy } = egress;
  const guard = createEgressGuard({ allow });
  const client = new HttpClient({ connectTimeoutMs: timeoutMs, connectionsMax, guard, proxy });
  const tokenLimits = { connectTimeoutMs: timeoutMs, responseBytesMax: tokenBytesMax };
  const [tokenClient, controlPlaneClient] = [
    new HttpClient({ ...tokenLimits, guard, proxy }),
    new HttpClient(tokenLimits),
  ];
  let accounts: OauthAccounts | undefined;
  return {
    deliveryFor: (nowMs) => {
      accounts ??= new OauthAccounts({
        http: tokenClient,
        controlPlaneHttp: controlPlaneClient,
        controlPlane: backendConfig,
        timeoutMs,
        nowMs,
      });
      const http = new OauthDelivery({ inner: createHttpDelivery(client, { timeoutMs, nowMs }), accounts });
      return new CustomDelivery({ inner: http, types: customTypes, context: { guard, timeoutMs, nowMs } });
    },
    close: async () => {
      await Promise.all([client, tokenClient, controlPlaneClient].map((one) => one.close()));
    },
  };
}
