// What every Link must do, whatever carries its frames. Each implementation runs this suite: port-link.test.ts and
// memory-link.test.ts. `until` is how a test waits: it lets frames arrive until the condition holds, and fails when
// nothing is left that could make it true.

import { strict as assert } from 'node:assert';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { Envelope, Link, LinkOptions } from '../../transport/index.ts';

export interface LinkPair {
  left: Link;
  right: Link;
  until(condition: () => boolean): Promise<void>;
}

export type CreateLinkPair = (t: TestContext | undefined, options: Partial<LinkOptions>) => LinkPair;

export function envelope(fields: Partial<Envelope> = {}): Envelope {
  return {
    type: 'message',
    toKind: 'processor',
    toKey: 'ws1:src7',
    fromKind: '',
    fromKey: '',
    askId: 0,
    deadlineMs: 0,
    traceparent: '',
    askChain: '',
    body: new Uint8Array(0),
    ...fields,
  };
}

/** Collects what arrives, copied: bodies are views into frames. */
function collect(link: Link): Envelope[] {
  const received: Envelope[] = [];
  link.onEnvelopes((envelopes) => {
    for (const one of envelopes) received.push({ ...one, body: Uint8Array.from(one.body) });
  });
  return received;
}

function numbered(count: number, from = 0): Envelope[] {
  return Array.from({ length: count }, (_, index) => envelope({ askId: from + index }));
}

const askIds = (envelopes: readonly Envelope[]) => envelopes.map((one) => one.askId);
const range = (count: number) => Array.from({ length: count }, (_, index) => index);

export function linkConformance(name: string, createPair: CreateLinkPair): void {
  orderAndContent(name, createPair);
  memoryAndSizes(name, createPair);
  credits(name, createPair);
  bounds(name, createPair);
  closing(name, createPair);
  randomTraffic(name, createPair);
}

function orderAndContent(name: string, createPair: CreateLinkPair): void {
  test(`${name}: delivers every field of an envelope as it was sent`, async (t) => {
    const { left, right, until } = createPair(t, {});
    const received = collect(right);
    const sent: Envelope[] = [
      envelope({ body: Uint8Array.of(1, 2, 3) }),
      envelope({ type: 'reply', toKind: '', toKey: '', askId: 4_294_967_295, body: Uint8Array.of(9) }),
      envelope({ type: 'failure', askId: 2 ** 40, fromKind: 'router', fromKey: 'ключ-🔑' }),
      envelope({
        type: 'system',
        deadlineMs: 1_795_478_400_123,
        traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
      }),
      envelope({ toKey: 'k'.repeat(5000) }),
    ];
    for (const one of sent) assert.equal(left.send(one), true);
    left.flush();
    await until(() => received.length === sent.length);
    assert.deepEqual(received, sent);
  });

  test(`${name}: keeps the order over many frames`, async (t) => {
    const { left, right, until } = createPair(t, { frameBytesMax: 500 });
    const received = collect(right);
    for (const one of numbered(300)) assert.equal(left.send(one), true);
    left.flush();
    await until(() => received.length === 300);
    assert.deepEqual(askIds(received), range(300));
    assert(left.stats().sentFrames > 10);
  });

  test(`${name}: posts what was sent in one turn as one frame and asks for one flush`, async (t) => {
    const { left, right, until } = createPair(t, {});
    const received = collect(right);
    let wanted = 0;
    left.onWantFlush(() => {
      wanted += 1;
    });
    for (const one of numbered(100)) left.send(one);
    assert.equal(left.stats().sentFrames, 0);
    left.flush();
    await until(() => received.length === 100);
    assert.equal(left.stats().sentFrames, 1);
    assert.equal(wanted, 1);
  });
}

function memoryAndSizes(name: string, createPair: CreateLinkPair): void {
  test(`${name}: shares no memory between the two ends`, async (t) => {
    const { left, right, until } = createPair(t, {});
    const received = collect(right);
    const body = new Uint8Array(200_000).fill(1);
    left.send(envelope({ body }));
    left.send(envelope({ body: body.subarray(0, 10) }));
    left.flush();
    body.fill(2);
    assert.equal(body.byteLength, 200_000);
    await until(() => received.length === 2);
    assert(received.every((one) => one.body.every((byte) => byte === 1)));
  });

  test(`${name}: carries bodies larger than a frame and larger than the window between small ones`, async (t) => {
    const { left, right, until } = createPair(t, { frameBytesMax: 100_000, windowBytes: 400_000 });
    const received = collect(right);
    const sizes = [10, 150_000, 20, 900_000, 30, 130_000, 40, 399_000];
    let accepted = 0;
    while (accepted < sizes.length) {
      const size = sizes[accepted] ?? 0;
      if (left.send(envelope({ askId: accepted, body: new Uint8Array(size).fill(accepted) }))) accepted += 1;
      else await until(() => left.stats().outboxEnvelopes === 0);
    }
    left.flush();
    await until(() => received.length === sizes.length);
    assert.deepEqual(
      received.map((one) => [one.askId, one.body.byteLength, one.body.every((byte) => byte === one.askId)]),
      sizes.map((size, index) => [index, size, true]),
    );
  });
}

function credits(name: string, createPair: CreateLinkPair): void {
  test(`${name}: keeps envelopes without credit in the outbox and refuses when that is full`, async (t) => {
    const { left, right, until } = createPair(t, { windowEnvelopes: 8 });
    const received = collect(right);
    for (const one of numbered(8)) assert.equal(left.send(one), true);
    left.flush();
    assert.equal(left.stats().creditEnvelopes, 0);
    for (const one of numbered(8, 8)) assert.equal(left.send(one), true);
    assert.equal(left.send(envelope()), false);
    assert.equal(left.stats().refusedEnvelopes, 1);
    assert.equal(left.stats().outboxEnvelopes, 8);
    await until(() => received.length === 16);
    assert.deepEqual(askIds(received), range(16));
    assert.equal(left.send(envelope()), true);
  });

  test(`${name}: gives credit back in empty frames when nothing goes the other way`, async (t) => {
    const { left, right, until } = createPair(t, { windowEnvelopes: 8 });
    const received = collect(right);
    for (let round = 0; round < 40; round += 1) {
      for (const one of numbered(4, round * 4)) assert.equal(left.send(one), true);
      left.flush();
      await until(() => received.length === (round + 1) * 4 && left.stats().creditEnvelopes > 4);
    }
    assert.deepEqual(askIds(received), range(160));
    assert(right.stats().sentFrames > 0);
    assert.equal(right.stats().sentEnvelopes, 0);
  });

  test(`${name}: gives credit back with the frames that go the other way`, async (t) => {
    const { left, right, until } = createPair(t, { windowEnvelopes: 100 });
    const received = collect(right);
    const answers = collect(left);
    for (const one of numbered(10)) left.send(one);
    left.flush();
    await until(() => received.length === 10);
    assert.equal(left.stats().creditEnvelopes, 90);
    right.send(envelope());
    right.flush();
    await until(() => answers.length === 1);
    assert.equal(left.stats().creditEnvelopes, 100);
    assert.equal(right.stats().sentFrames, 1);
  });
}

function bounds(name: string, createPair: CreateLinkPair): void {
  test(`${name}: lets no more bytes travel than the window and refuses a full outbox`, async (t) => {
    const { left, right, until } = createPair(t, { windowBytes: 100_000 });
    const received = collect(right);
    let accepted = 0;
    while (left.send(envelope({ askId: accepted, body: new Uint8Array(20_000) }))) accepted += 1;
    const { creditBytes, outboxBytes, sentEnvelopes } = left.stats();
    assert.equal(sentEnvelopes, 4);
    assert.equal(accepted, 8);
    assert(creditBytes >= 0);
    assert(outboxBytes <= 100_000);
    await until(() => received.length === accepted);
    assert.deepEqual(askIds(received), range(accepted));
  });

  test(`${name}: throws BODY_TOO_LARGE beyond the largest body`, (t) => {
    const { left } = createPair(t, { bodyBytesMax: 1000 });
    assert.equal(left.send(envelope({ body: new Uint8Array(1000) })), true);
    assert.throws(() => left.send(envelope({ body: new Uint8Array(1001) })), { code: 'BODY_TOO_LARGE' });
  });

  test(`${name}: gives no credit for envelopes its owner has not taken over`, async (t) => {
    const { left, right, until } = createPair(t, { windowEnvelopes: 2 });
    let creditInside = -1;
    let taken = 0;
    right.onEnvelopes((envelopes) => {
      creditInside = right.stats().sentFrames;
      taken += envelopes.length;
    });
    left.send(envelope());
    left.flush();
    await until(() => taken === 1);
    assert.equal(creditInside, 0);
  });
}

function closing(name: string, createPair: CreateLinkPair): void {
  test(`${name}: delivers what was posted, then tells the other end once that it closed`, async (t) => {
    const { left, right, until } = createPair(t, {});
    const received = collect(right);
    const closings: string[] = [];
    right.onClose(() => closings.push(`right after ${received.length}`));
    left.onClose(() => closings.push('left'));
    for (const one of numbered(3)) left.send(one);
    left.close();
    left.close();
    await until(() => closings.length > 0);
    right.close();
    assert.deepEqual(closings, ['right after 3']);
    assert.deepEqual(askIds(received), range(3));
  });

  test(`${name}: refuses on both ends after a close`, async (t) => {
    const { left, right, until } = createPair(t, {});
    let closed = false;
    right.onClose(() => {
      closed = true;
    });
    left.close();
    assert.equal(left.send(envelope()), false);
    await until(() => closed);
    assert.equal(right.send(envelope()), false);
    assert.equal(right.stats().refusedEnvelopes, 1);
    right.flush();
  });

  test(`${name}: reports a close to a listener that came late`, async (t) => {
    const { left, right, until } = createPair(t, {});
    left.close();
    await until(() => !right.send(envelope()));
    let closed = false;
    right.onClose(() => {
      closed = true;
    });
    assert.equal(closed, true);
  });
}

function randomTraffic(name: string, createPair: CreateLinkPair): void {
  test(`${name}: loses, doubles and reorders nothing under random traffic both ways`, async () => {
    const sending = fc.record({ fromLeft: fc.boolean(), bytes: fc.nat({ max: 3000 }), flush: fc.boolean() });
    const property = fc.asyncProperty(
      fc.array(sending, { maxLength: 120 }),
      fc.integer({ min: 1, max: 9 }),
      async (sendings, windowEnvelopes) => {
        const { left, right, until } = createPair(undefined, {
          windowEnvelopes,
          windowBytes: 4000,
          frameBytesMax: 1500,
        });
        const atRight = collect(right);
        const atLeft = collect(left);
        let leftSent = 0;
        let rightSent = 0;
        for (const { fromLeft, bytes, flush } of sendings) {
          const link = fromLeft ? left : right;
          const one = envelope({ askId: fromLeft ? leftSent : rightSent, body: new Uint8Array(bytes) });
          if (!link.send(one)) {
            await until(() => link.stats().outboxEnvelopes === 0);
            assert.equal(link.send(one), true);
          }
          if (fromLeft) leftSent += 1;
          else rightSent += 1;
          if (flush) link.flush();
        }
        left.flush();
        right.flush();
        await until(() => atRight.length === leftSent && atLeft.length === rightSent);
        assert.deepEqual(askIds(atRight), range(leftSent));
        assert.deepEqual(askIds(atLeft), range(rightSent));
        left.close();
        right.close();
      },
    );
    await fc.assert(property, { numRuns: 60 });
  });
}
