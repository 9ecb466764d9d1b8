// When the gateway refuses before it reads, and that it lets one batch through to see whether storage is back.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Admission } from '../../../actors/gateway/admission.ts';
import { VirtualClock } from '../../../runtime/virtual-seams.ts';

function setup() {
  const clock = new VirtualClock();
  const outside = { reason: '' };
  const admission = new Admission({ clock, lagMsMax: 1_000, reasons: [() => outside.reason] });
  return { clock, outside, admission };
}

test('refuses while the oldest commit is late, and accepts once it has ended', () => {
  const { clock, admission } = setup();
  const first = admission.sent();
  clock.spend(600);
  const second = admission.sent();
  clock.spend(400);
  assert.equal(admission.refuses(), false);
  clock.spend(1);
  assert.equal(admission.refuses(), true);
  assert.equal(admission.reason, 'commits take too long');
  admission.settled(first, true);
  assert.equal(admission.refuses(), false);
  admission.settled(second, true);
  assert.equal(admission.reason, '');
});

test('lets one batch through after a failure, and everybody once that one is committed', () => {
  const { admission } = setup();
  admission.settled(admission.sent(), false);
  assert.equal(admission.refuses(), false, 'expected a probe to go through');
  const probe = admission.sent();
  assert.equal(admission.refuses(), true);
  assert.equal(admission.reason, 'storage does not take commits');
  admission.settled(probe, true);
  admission.sent();
  assert.equal(admission.refuses(), false);
});

test('refuses for reasons from outside', () => {
  const { outside, admission } = setup();
  outside.reason = 'the disk is nearly full';
  assert.equal(admission.refuses(), true);
  assert.equal(admission.reason, 'the disk is nearly full');
});
