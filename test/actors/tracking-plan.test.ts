// Tracking plans: what breaks a plan, what becomes of it by the plan's settings, and that no rule of a customer can hold
// the thread, whatever it says.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileRules } from '../../actors/processor/plan-rules.ts';
import { planStage } from '../../actors/processor/plan-stage.ts';
import { EventInHand } from '../../actors/processor/stage.ts';
import type { TrackingPlanConfig } from '../../actors/services/workspace.ts';
import { makeSource } from '../support/workspace-objects.ts';

const rules = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  type: 'object',
  required: ['properties'],
  properties: {
    properties: {
      type: 'object',
      required: ['price'],
      additionalProperties: false,
      properties: { price: { type: 'number' }, color: { enum: ['red'] }, sku: { type: 'string', pattern: '^[A-Z]+$' } },
    },
  },
};

function plan(config: Record<string, unknown>, changes: Partial<TrackingPlanConfig> = {}): TrackingPlanConfig {
  const events = [
    { name: 'Paid', eventType: 'track', rules },
    { name: '', eventType: 'identify', rules: { required: ['userId'] } },
  ];
  return { id: 'tp', version: '3', config, mergedConfig: {}, events, ...changes };
}

function run(event: Record<string, unknown>, trackingPlan: TrackingPlanConfig) {
  const problems: string[] = [];
  const source = { ...makeSource('src', []), trackingPlan };
  const stage = planStage(source, (problem) => problems.push(problem));
  const payload = Buffer.from(JSON.stringify(event));
  const job = {
    jobId: 1,
    parentId: 0,
    partition: 'src',
    userId: '',
    messageId: 'm',
    receivedAtMs: 0,
    parameters: '',
    payload,
  };
  const sourcePlan = { source, stages: [], routes: [], taps: [], isTransforming: false, isHydrated: false };
  const handed = { job, afterId: 0, again: false, status: undefined };
  const inHand = new EventInHand(handed, { source_id: 'src', workspace_id: 'ws' }, sourcePlan, payload, event);
  const ending = stage?.(inHand, { nowMs: 0 });
  const context = Object(inHand.event.context);
  const types = (context.violationErrors ?? []).map(({ type }: { type: string }) => type);
  return { isChecked: stage !== undefined, ending, context, types, problems };
}

const forwarding = { global: { allowUnplannedEvents: 'true' } };
const paid = (properties: object) => ({ type: 'track', event: 'Paid', properties });

test('every kind of violation is told with its type and place', () => {
  const table: [Record<string, unknown>, string[]][] = [
    [paid({ price: 1, color: 'red', sku: 'ABC' }), []],
    [paid({ price: 'x' }), ['Datatype-Mismatch']],
    [paid({}), ['Required-Missing']],
    [paid({ price: 1, extra: 1 }), ['Additional-Properties']],
    [paid({ price: 1, color: 'blue' }), ['Advance-Rules-Violation']],
    [paid({ price: 1, sku: 'abc' }), ['Advance-Rules-Violation']],
    [{ type: 'track', event: 'Other' }, ['Unplanned-Event']],
    [{ type: 'identify' }, ['Required-Missing']],
    [{ type: 'identify', userId: 'u' }, []],
    [{ type: 'page', name: 'Home' }, []],
  ];
  for (const [event, expected] of table) {
    const { types, ending, context } = run(event, plan(forwarding));
    assert.deepEqual([types, ending], [expected, undefined], JSON.stringify(event));
    assert.deepEqual([context.trackingPlanId, context.trackingPlanVersion], ['tp', '3']);
  }
  const [violation] = run(paid({ price: 1, extra: 1 }), plan(forwarding)).context.violationErrors;
  assert.equal(violation.property, 'properties.extra');
  assert.equal(run({ type: 'alias' }, plan(forwarding)).context.trackingPlanId, undefined);
});

test('the plan decides by kind of violation and type of event what goes on', () => {
  const table: [Record<string, unknown>, Record<string, unknown>, boolean][] = [
    [{ global: { allowUnplannedEvents: 'false' } }, { type: 'track', event: 'Other' }, true],
    [{ global: { allowUnplannedEvents: false } }, { type: 'track', event: 'Other' }, true],
    [{ global: { unplannedProperties: 'drop' } }, paid({ price: 1, extra: 1 }), true],
    [{ global: { unplannedProperties: 'drop' } }, paid({ price: 'x' }), false],
    [{ global: { anyOtherViolation: 'drop' } }, paid({ price: 'x' }), true],
    [{ global: { anyOtherViolation: 'drop' } }, paid({ price: 1, extra: 1 }), false],
    [{ global: { anyOtherViolation: 'drop' }, track: { anyOtherViolation: 'forward' } }, paid({}), false],
    [{ global: {}, identify: { anyOtherViolation: 'drop' } }, { type: 'identify' }, true],
  ];
  for (const [config, event, isDropped] of table) {
    const { ending } = run(event, plan(config));
    assert.equal(ending?.kind, isDropped ? 'aborted' : undefined, JSON.stringify([config, event]));
    if (isDropped) assert.deepEqual([ending?.code, ending?.stage], [400, 'tracking_plan_validator']);
  }
  const silent = run(paid({}), plan({ global: { propagateValidationErrors: 'false' } }));
  assert.deepEqual(silent.context, {});
  assert.equal(run(paid({}), plan({})).isChecked, false, 'no settings, no validation');
  assert.equal(run(paid({}), plan({}, { mergedConfig: { anyOtherViolation: 'drop' } })).ending?.kind, 'aborted');
});

test('rules that could hold the thread are refused, replaced or bounded', () => {
  const loop = { properties: { a: { allOf: [{ $ref: '#' }, { $ref: '#' }] } } };
  assert.match(compileRules(loop).problem, /they use \$ref/);
  const nested = JSON.parse(`${'{"not":'.repeat(100)}{}${'}'.repeat(100)}`);
  assert.match(compileRules(nested).problem, /nested more than/);
  assert.match(compileRules({ properties: { a: { pattern: '(?=x)y' } } }).problem, /unsupported Perl syntax/);
  assert.match(compileRules({ enum: Array.from({ length: 6_000 }, (_, n) => n) }).problem, /more than 5000 parts/);

  const evil = compileRules({
    properties: { a: { pattern: '^(a+)+$' }, b: { patternProperties: { '^(x+x+)+y': {} } } },
  });
  assert.equal(evil.problem, '');
  assert.deepEqual(evil.check({ a: 'aaaa' }), []);
  assert.equal(evil.check({ a: `${'a'.repeat(30_000)}!` })[0]?.type, 'Advance-Rules-Violation');
  assert.equal(evil.check({ a: `${'a'.repeat(3_000_000)}!` })[0]?.type, 'Unknown-Violation', 'more than its budget');

  const unique = compileRules({ properties: { list: { uniqueItems: true } } });
  const list = Array.from({ length: 100_000 }, (_, n) => ({ n, m: -n }));
  assert.deepEqual(unique.check({ list }), []);
  assert.equal(unique.check({ list: [...list, { m: -7, n: 7 }] })[0]?.type, 'Advance-Rules-Violation');
});

test('rules of draft 04 mean what they meant', () => {
  const { check, problem } = compileRules({
    $schema: 'http://json-schema.org/draft-04/schema#',
    properties: { n: { minimum: 1, exclusiveMinimum: true, maximum: 3, exclusiveMaximum: false } },
  });
  assert.equal(problem, '');
  assert.deepEqual(
    [1, 2, 3, 4].map((n) => check({ n }).length),
    [1, 0, 0, 1],
  );
});
