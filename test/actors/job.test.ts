// The keys under which a job keeps its order.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { orderKeys } from '../../actors/job.ts';

test('a job keeps order under its anonymous id and its user id', () => {
  assert.deepEqual(orderKeys('header<<>>anonymous<<>>user'), ['anonymous', 'user']);
  assert.deepEqual(orderKeys('<<>>user<<>>user'), ['user']);
  assert.deepEqual(orderKeys('<<>>anonymous<<>>'), ['anonymous']);
  assert.deepEqual(orderKeys('<<>><<>>user'), ['user']);
});

test('a user id that holds the delimiter keeps order across anonymous ids', () => {
  assert.deepEqual(orderKeys('<<>>first<<>>a<<>>b'), ['first', 'a<<>>b']);
  assert.deepEqual(orderKeys('<<>>second<<>>a<<>>b'), ['second', 'a<<>>b']);
});

test('a composite that is none is one key', () => {
  assert.deepEqual(orderKeys('anything'), ['anything']);
});
