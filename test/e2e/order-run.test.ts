// The real run of the order of events: 50 users with 40 events each, destinations that answer by a script for every
// event (one request each, and in batches), and a restart in the middle. What is refused for good is the only thing
// that does not arrive, and nobody is overtaken by himself.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { type Answer, type DeliveredEvent, type Delivery, eventOf } from '../support/fake-destination.ts';
import { post, track } from '../support/gateway-client.ts';
import { checkDeliveries, findOvertaking } from '../support/order-checker.ts';
import { asSent, sourceId, startPipeline, writeKey } from '../support/pipeline.ts';
import { pollUntil } from '../support/poll.ts';
import { startProgram } from '../support/program.ts';
import { pendingJobs } from '../support/status.ts';

const users = Array.from({ length: 50 }, (_, index) => `user-${index}`);
const rounds = 40;
const restartAfter = 20;
const plainPath = '/plain';
const batchPath = '/batch';

/** What each attempt of an event is answered; the last one for all further ones. Most simply arrive. */
const scripts = [[500, 200], [503, 503, 200], [429, 200], [408, 200], [400], [302], [0, 200]];

function scriptOf(messageId: string): readonly number[] {
  const [first = 0, second = 0] = createHash('sha256').update(messageId).digest();
  return first < 180 ? [200] : (scripts[second % scripts.length] ?? [200]);
}

function arrives(messageId: string): boolean {
  return scriptOf(messageId).at(-1) === 200;
}

class ScriptedReceiver {
  readonly accepted: (DeliveredEvent & { idempotencyKey: string })[] = [];
  readonly attempts: DeliveredEvent[] = [];
  readonly #attempts = new Map<string, number>();

  /** The code for the next attempt of this event. */
  next(event: DeliveredEvent, idempotencyKey: string): number {
    const attempt = this.#attempts.get(event.messageId) ?? 0;
    this.#attempts.set(event.messageId, attempt + 1);
    this.attempts.push(event);
    const script = scriptOf(event.messageId);
    const code = script[Math.min(attempt, script.length - 1)] ?? 200;
    if (code === 200) this.accepted.push({ ...event, idempotencyKey });
    return code;
  }
}

/** A receiver that works in order: behind an event that failed it takes no more of its user. */
function answerBatch(receiver: ScriptedReceiver, { body }: Delivery): Answer {
  const events: unknown[] = JSON.parse(body.toString('utf8'));
  const failed = new Set<string>();
  const answers = events.map((event) => {
    const one = eventOf({ body: Buffer.from(JSON.stringify(event)) } as Delivery);
    if (failed.has(one.userId)) return { status: 500 };
    // An answer that never comes is none of many.
    const status = receiver.next(one, one.messageId) || 500;
    if (status >= 500 || status === 408 || status === 429) failed.add(one.userId);
    return { status };
  });
  return { status: 207, body: JSON.stringify(answers), headers: { 'content-type': 'application/json' } };
}

test('50 users with 40 events each keep their order at destinations that answer by script', {
  timeout: 180_000,
}, async (t) => {
  const { program, destination } = await startPipeline(t, {
    env: { SLUICE_ROUTER_HTTP_TIMEOUT_MS: '2000', SLUICE_ROUTER_BREAKER_FAILURES: '0' },
    sources: (receiver) => [
      {
        id: sourceId,
        writeKey,
        destinations: [
          { id: 'plain', url: receiver.url(plainPath) },
          { id: 'batched', url: receiver.url(batchPath), config: { batch: { maxEvents: 16 } } },
        ],
      },
    ],
  });
  const [plain, batched] = [new ScriptedReceiver(), new ScriptedReceiver()];
  const never = new Promise<Answer>(() => undefined);
  destination.respond((delivery) => {
    if (delivery.path === batchPath) return answerBatch(batched, delivery);
    const code = plain.next(eventOf(delivery), delivery.idempotencyKey);
    return code === 0 ? never : code;
  });
  const sent = Array.from({ length: rounds }, (_, sequence) => users.map((user) => track(user, sequence)));
  let running = program;
  for (const [round, batch] of sent.entries()) {
    if (round === restartAfter) {
      await program.stop();
      running = await (await startProgram(t, program.options)).waitReady();
    }
    const answer = await post(`${running.gatewayUrl}/v1/batch`, { batch }, { writeKey });
    assert.equal(answer.status, 200);
  }
  const expected = sent.flat().filter(({ messageId }) => arrives(messageId));
  await pollUntil(
    'nothing to be pending',
    async () => (pendingJobs(await running.json('/status')) === 0 ? true : undefined),
    120_000,
  );
  const nothing = { lost: [], unknown: [], duplicates: [], unrecognisable: [], outOfOrder: [] };
  for (const receiver of [plain, batched]) {
    assert.deepEqual(checkDeliveries(expected.map(asSent), receiver.accepted), nothing);
  }
  assert.deepEqual(findOvertaking(plain.attempts), []);
  const requests = destination.deliveries.filter(({ path }) => path === batchPath).length;
  assert.ok(requests < batched.attempts.length / 2, `expected batches, got ${requests} requests`);
});
