// One event to one destination, now: what the destination's page in a control plane calls "send a test event". It goes
// the way of every delivery (transform, request, guard), but through no queue, so it is neither ordered nor retried.

import type { Clock, Random } from '../../runtime/index.ts';
import type { Settings } from '../config.ts';
import type { TestResult } from '../controls/contract.ts';
import { completeRequest, isObject } from '../destinations/destination.ts';
import { compileDestination } from '../destinations/registry.ts';
import type { DestinationConfig } from '../services/workspace.ts';
import type { TransformerJob } from '../transformer/contract.ts';
import { lanePolicyOf } from './lane-policy.ts';
import { openDelivery } from './open-delivery.ts';
import { transformedDelivery } from './transformed-delivery.ts';

export interface TestSendOptions {
  settings: Settings;
  clock: Clock;
  random: Random;
  newMessageId(): string;
}

const notSentCode = 400;

export async function sendTest(
  destination: DestinationConfig,
  given: unknown,
  options: TestSendOptions,
): Promise<TestResult> {
  const { clock, random, settings } = options;
  const startedMs = clock.nowMs();
  const messageId = options.newMessageId();
  const event = isObject(given) ? given : exampleEvent(messageId, new Date(startedMs).toISOString());
  const metadata = { sourceId: 'test', destinationId: destination.id, messageId, receivedAtMs: startedMs };
  const result = compileDestination(destination, settings.transformer).transform(event, metadata);
  if (result.kind !== 'deliver') {
    const answer = result.kind === 'aborted' ? result.reason : 'the destination filters this event';
    return { sent: false, code: result.kind === 'aborted' ? result.code : notSentCode, answer, elapsedMs: 0 };
  }
  const way = openDelivery(settings);
  try {
    const inner = way.deliveryFor(() => clock.nowMs());
    const workspace = { current: { destinationById: () => destination, sourceById: () => undefined } };
    const delivery = transformedDelivery(settings, workspace)?.(inner, { clock, random }) ?? inner;
    const body = result.body === 'event' ? Buffer.from(JSON.stringify(event)) : result.body;
    const { batch, connection, signingKeys } = lanePolicyOf(settings, destination, 1);
    const single = { request: completeRequest(JSON.parse(result.request)), body };
    const outcome = await new Promise<{ code: number; response: string }>((resolve) =>
      delivery.send(
        {
          poolKey: destination.id,
          destination,
          // Also one event goes as the array that its receiver is promised.
          ...(batch?.merge([single]) ?? single),
          ...(connection === undefined ? {} : { connection }),
          jobs: 1,
          keepsAnswer: true,
          idempotencyKey: `test-${messageId}`,
          traceparent: undefined,
          signingKeys,
          about: testJob(destination, messageId, startedMs, body),
        },
        resolve,
      ),
    );
    delivery.release(destination.id);
    const elapsedMs = clock.nowMs() - startedMs;
    return { sent: true, code: outcome.code, answer: outcome.response, elapsedMs };
  } finally {
    await way.close();
  }
}

/** What the transformer is told about it. */
function testJob(
  destination: DestinationConfig,
  messageId: string,
  receivedAtMs: number,
  payload: Uint8Array,
): TransformerJob {
  const ids = { jobId: 1, parentId: 0, partition: destination.id, userId: '<<>>test-user<<>>test-user' };
  const job = { ...ids, messageId, receivedAtMs, parameters: '', payload };
  const { id, workspaceId } = destination;
  const parameters = { source_id: 'test', destination_id: id, workspace_id: workspaceId };
  return { job, parameters, attempts: 1, firstAttemptedAtMs: receivedAtMs };
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
