// A definition, a thread group or a tuning that cannot be meant is refused where it is made, with all of its faults by
// name; whatever is left out has its default.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { type ActorDefinition, defineActor, rebalancerDefaults, startRuntime } from '../../runtime/index.ts';
import { mailboxDefaults } from '../../runtime/mailbox.ts';
import { supervisionDefaults } from '../../runtime/supervision.ts';
import { threadTuningDefaults } from '../../runtime/thread-slot.ts';
import { testRuntime } from '../support/test-runtime.ts';

const sound = { kind: 'sound', role: 'any', create: () => ({ onMessage: () => undefined }) };

const faults: [given: object, message: RegExp][] = [
  [{ kind: '' }, /expected kind of actor kind "" to be a text without a slash that is not empty, got ""/],
  [{ kind: 'a/b' }, /got "a\/b"/],
  [{ kind: undefined }, /expected kind of actor kind undefined to be .*, got undefined/],
  [{ role: 5 }, /expected role of actor kind "sound" to be a text that is not empty, got 5/],
  [{ create: 'no' }, /expected create of actor kind "sound" to be a function, got "no"/],
  [{ idleMs: -1 }, /expected idleMs .* to be a finite number of milliseconds, 0 or more, got -1/],
  [{ idleMs: Number.NaN }, /expected idleMs .* got NaN/],
  [{ priority: 'high' }, /expected priority .* to be interactive or batch, got "high"/],
  [{ mailbox: 5 }, /expected mailbox .* to be an object, got 5/],
  [{ mailbox: { capacity: 0 } }, /expected capacity of the mailbox of actor kind "sound" .* got 0/],
  [{ mailbox: { capacity: undefined } }, /expected capacity .* to be a whole number, 1 or more, got undefined/],
  [{ mailbox: { bytesMax: '16' } }, /expected bytesMax .* to be a number of bytes, 1 or more, got "16"/],
  [{ mailbox: { overflow: 'drop' } }, /expected overflow .* to be reject or dropOldest, got "drop"/],
  [{ mailbox: { size: 5 } }, /to have only capacity, bytesMax, overflow, got "size"/],
  [{ supervision: { jitter: 2 } }, /expected jitter of the supervision .* to be a number from 0 to 1, got 2/],
  [{ supervision: { maxRestarts: 1.5 } }, /expected maxRestarts .* to be a whole number, 0 or more, got 1.5/],
  [{ supervision: { minBackoffMs: Number.POSITIVE_INFINITY } }, /expected minBackoffMs .* got Infinity/],
  [{ supervision: { strategy: 'escalate' } }, /expected strategy .* to be restart or stop, got "escalate"/],
  [{ mailBox: {} }, /to have only kind, role, .*, got "mailBox"/],
];
for (const [given, message] of faults) {
  test(`a definition with ${JSON.stringify(given)} (${message.source}) is refused where it is made`, (t) => {
    const definition = { ...sound, ...given } as ActorDefinition<never>;
    assert.throws(() => defineActor(definition), { code: 'INVALID_ARGUMENT', message });
    const runtime = testRuntime({ definitions: [] }, t);
    assert.throws(() => runtime.system.define(definition), { code: 'INVALID_ARGUMENT', message });
  });
}

test('all faults of a definition are told together', () => {
  const definition = { ...sound, idleMs: -1, mailbox: { capacity: 0 } };
  assert.throws(() => defineActor(definition), { message: /idleMs.*; expected capacity/ });
});

test('the defaults are what may be declared', () => {
  defineActor({ ...sound, mailbox: mailboxDefaults, supervision: supervisionDefaults, idleMs: 0, remedy: '' });
});

const noThreads: [groups: object[], tuning: object, message: RegExp][] = [
  [[{ role: 'a', count: 0 }], {}, /expected count of thread group "a" to be a whole number, 1 or more, got 0/],
  [[{ count: 1 }], {}, /expected role of thread group undefined .* got undefined/],
  [[{ role: 'main', count: 1 }], {}, /expected thread group "main" to have a role of its own/],
  [
    [
      { role: 'a', count: 1 },
      { role: 'a', count: 1 },
    ],
    {},
    /expected thread group "a" to have a role of its own/,
  ],
  [[{ role: 'a', count: 1, drainonly: true }], {}, /to have only role, count, .*, got "drainonly"/],
  [[], { ...threadTuningDefaults, leaveMs: Number.NaN }, /expected leaveMs of tuning .* got NaN/],
  [[], { rebalance: { ...rebalancerDefaults, hotAbove: 7 } }, /expected hotAbove of tuning.rebalance .* got 7/],
  [[], { supervision: { ...supervisionDefaults, jitter: -1 } }, /expected jitter of tuning.supervision .* got -1/],
];
for (const [groups, tuning, message] of noThreads) {
  test(`threads are refused before one of them is started: ${message.source}`, async () => {
    const ignore = () => undefined;
    const log = { debug: ignore, info: ignore, warn: ignore, error: ignore };
    const entry = new URL('file:///nowhere');
    const options = { entry, groups: groups as never, tuning, roles: {}, threadData: 0, log, onFatal: ignore };
    await assert.rejects(startRuntime(options), { code: 'INVALID_ARGUMENT', message });
  });
}
