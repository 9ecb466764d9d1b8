// The mailbox against a model: two lists and three bounds.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Holds, holdBytesMax } from '../../runtime/holds.ts';
import { Mail } from '../../runtime/mail.ts';
import { type Mailbox, MailboxPool, mailboxDefaults, Ring } from '../../runtime/mailbox.ts';

function mailOf(bytes: number): Mail {
  const mail = new Mail(undefined, undefined, '');
  mail.bytes = bytes;
  return mail;
}

const action = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('offer' as const), bytes: fc.integer({ min: 0, max: 40 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('system' as const), bytes: fc.constant(0) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('shift' as const), bytes: fc.constant(0) }) },
);

function modelOffer(model: Mail[], mail: Mail, overflow: 'reject' | 'dropOldest'): Mail[] {
  const lost: Mail[] = [];
  const bytes = () => model.reduce((sum, one) => sum + one.bytes, 0);
  while (model.length >= 10 || bytes() + mail.bytes > 100) {
    const oldest = overflow === 'dropOldest' && mail.bytes <= 100 ? model.shift() : undefined;
    lost.push(oldest ?? mail);
    if (oldest === undefined) return lost;
  }
  model.push(mail);
  return lost;
}

function offerAll(mailbox: Mailbox, mail: Mail, overflow: 'reject' | 'dropOldest'): Mail[] {
  const lost: Mail[] = [];
  for (;;) {
    const one = mailbox.offer(mail, { capacity: 10, bytesMax: 100, overflow });
    if (one === undefined) return lost;
    lost.push(one);
    if (one === mail) return lost;
  }
}

test('it keeps order, bounds messages and bytes, and hands back exactly what lost its place', () => {
  const overflows = fc.constantFrom('reject' as const, 'dropOldest' as const);
  fc.assert(
    fc.property(fc.array(action, { maxLength: 200 }), overflows, (actions, overflow) => {
      const pool = new MailboxPool(1_000_000);
      const mailbox = pool.borrow();
      const user: Mail[] = [];
      const system: Mail[] = [];
      for (const { kind, bytes } of actions) {
        const mail = mailOf(bytes);
        if (kind === 'offer') assert.deepEqual(offerAll(mailbox, mail, overflow), modelOffer(user, mail, overflow));
        else if (kind === 'system' && mailbox.offerSystem(mail)) system.push(mail);
        else if (kind === 'shift') assert.equal(mailbox.shift(), system.shift() ?? user.shift());
        assert.equal(mailbox.size, user.length + system.length);
        assert.equal(pool.budget.messages, mailbox.size);
        assert.equal(
          pool.budget.bytes,
          user.reduce((sum, one) => sum + one.bytes, 0),
        );
      }
    }),
  );
});

test('all mailboxes of a thread share one budget of bytes', () => {
  const pool = new MailboxPool(100);
  const options = { capacity: 10, bytesMax: 90, overflow: 'reject' as const };
  const full = pool.borrow();
  const other = pool.borrow();
  assert.equal(full.offer(mailOf(80), options), undefined);
  const tooMuch = mailOf(30);
  assert.equal(other.offer(tooMuch, options), tooMuch);
  full.shift();
  assert.equal(other.offer(tooMuch, options), undefined);
});

test('what others of the thread hold costs a mailbox nothing that it has', () => {
  const pool = new MailboxPool(100);
  const options = { capacity: 10, bytesMax: 90, overflow: 'dropOldest' as const };
  const others = pool.borrow();
  const mine = pool.borrow();
  assert.equal(others.offer(mailOf(80), options), undefined);
  assert.equal(mine.offer(mailOf(10), options), undefined);
  const tooMuch = mailOf(30);
  assert.equal(mine.offer(tooMuch, options), tooMuch, 'refused, instead of emptying the mailbox in vain');
  assert.equal(mine.size, 1);
});

test('what a move keeps waiting is bounded in messages and bytes, and room comes back as it is sent on', () => {
  const address = { kind: 'router', key: 'd1' };
  const holds = new Holds();
  holds.begin(address, 1);
  const half = mailOf(holdBytesMax / 2);
  assert.deepEqual(
    [holds.keep(address, half), holds.keep(address, half), holds.keep(address, mailOf(1))],
    [true, true, false],
  );
  holds.release(address, 1);
  const [hold] = holds.released();
  assert.ok(hold !== undefined);
  holds.shift(hold);
  assert.equal(holds.keep(address, half), true);
  holds.shift(hold);
  holds.shift(hold);
  let kept = 0;
  while (holds.keep(address, mailOf(0))) kept += 1;
  assert.equal(kept, mailboxDefaults.capacity);
});

test('taking out asks leaves the others in order', () => {
  const pool = new MailboxPool(1000);
  const mailbox = pool.borrow();
  const mails = [1, 2, 3, 4, 5].map((bytes) => mailOf(bytes));
  for (const mail of mails) mailbox.offer(mail, { capacity: 10, bytesMax: 100, overflow: 'reject' });
  const taken = mailbox.takeUserMail((mail) => mail.bytes % 2 === 0);
  assert.deepEqual(taken, [mails[1], mails[3]]);
  assert.deepEqual([mailbox.shift(), mailbox.shift(), mailbox.shift()], [mails[0], mails[2], mails[4]]);
  assert.deepEqual(pool.budget, { messages: 0, bytes: 0, bytesMax: 1000 });
});

test('a ring is a queue, however it wraps and grows', () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 300 }), (pushes) => {
      const ring = new Ring<number>(2);
      const model: number[] = [];
      for (const [index, isPush] of pushes.entries()) {
        if (isPush) {
          ring.push(index);
          model.push(index);
        } else {
          assert.equal(ring.shift(), model.shift());
        }
        assert.equal(ring.size, model.length);
        assert.equal(ring.at(0), model[0]);
        assert.equal(ring.at(model.length - 1), model.at(-1));
      }
    }),
  );
});
