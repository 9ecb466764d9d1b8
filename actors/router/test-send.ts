// One event to one destination, now: what the destination's page in a control plane calls "send a test event". It goes
// the way of every delivery (transform, request, guard), but through no queue, so it is neither ordered nor retried.

import { createEgressGuard, HttpClient } from '../../transport/index.ts';
import type { TestResult } from '../controls/contract.ts';
import { completeRequest, isObject } from '../destinations/destination.ts';
import { compileDestination } from '../destinations/registry.ts';
import type { DestinationConfig } from '../services/workspace.ts';
import { CustomDelivery } from './custom/custom-delivery.ts';
import { customTypes } from './custom/custom-types.ts';
import { createHttpDelivery } from './delivery.ts';
import { signingKeysOf } from './signature.ts';

export interface TestSendOptions {
  egressAllow: readonly string[];
  /** '': none. */
  egressProxy: string;
  timeoutMs: number;
  nowMs(): number;
  newMessageId(): string;
}

const notSentCode = 400;

export async function sendTest(
  destination: DestinationConfig,
  given: unknown,
  options: TestSendOptions,
): Promise<TestResult> {
  const startedMs = options.nowMs();
  const messageId = options.newMessageId();
  const event = isObject(given) ? given : exampleEvent(messageId, new Date(startedMs).toISOString());
  const metadata = { sourceId: 'test', destinationId: destination.id, messageId, receivedAtMs: startedMs };
  const result = compileDestination(destination).transform(event, metadata);
  if (result.kind !== 'deliver') {
    const answer = result.kind === 'aborted' ? result.reason : 'the destination filters this event';
    return { sent: false, code: result.kind === 'aborted' ? result.code : notSentCode, answer, elapsedMs: 0 };
  }
  const guard = createEgressGuard({ allow: options.egressAllow });
  const client = new HttpClient({ connectionsMax: 1, guard, proxy: options.egressProxy });
  try {
    const context = { guard, timeoutMs: options.timeoutMs, nowMs: () => options.nowMs() };
    const delivery = new CustomDelivery({ inner: createHttpDelivery(client, context), types: customTypes, context });
    const body = result.body === 'event' ? Buffer.from(JSON.stringify(event)) : result.body;
    const request = completeRequest(JSON.parse(result.request));
    const outcome = await new Promise<{ code: number; response: string }>((resolve) =>
      delivery.send(
        {
          poolKey: 'test',
          destination,
          request,
          jobs: 1,
          keepsAnswer: true,
          body,
          idempotencyKey: `test-${messageId}`,
          traceparent: undefined,
          signingKeys: signingKeysOf(destination),
        },
        resolve,
      ),
    );
    delivery.release('test');
    const elapsedMs = options.nowMs() - startedMs;
    return { sent: true, code: outcome.code, answer: outcome.response, elapsedMs };
  } finally {
    await client.close();
  }
}

function exampleEvent(messageId: string, at: string): Record<string, unknown> {
  return {
    type: 'track',
    event: 'Test Event',
    userId: 'test-user',
    messageId,
    properties: { test: true },
    context: {},
    originalTimestamp: at,
    sentAt: at,
    receivedAt: at,
    timestamp: at,
  };
}
