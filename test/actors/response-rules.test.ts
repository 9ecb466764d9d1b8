// Response rules as a table: an answer of a destination type, and the code it counts as.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { responseRuleTables } from '../../actors/router/response-rule-tables.ts';
import { codeBy, matchRule, readRules, ruleSetOf } from '../../actors/router/response-rules.ts';
import { isRetryable } from '../../actors/router/retry.ts';

type Row = [type: string, code: number, body: unknown, counts: number | undefined];

const rows: Row[] = [
  ['FACEBOOK_PIXEL', 400, { error: { code: 613 } }, 429],
  ['FACEBOOK_PIXEL', 400, { error: { code: 190 } }, 500],
  ['FACEBOOK_PIXEL', 400, { error: { code: 100, is_transient: true } }, 500],
  ['FACEBOOK_PIXEL', 400, { error: { code: 100 } }, undefined],
  ['FACEBOOK_PIXEL', 503, { error: { code: 2 } }, 503],
  ['CAMPAIGN_MANAGER', 403, { error: { errors: [{ reason: 'rateLimitExceeded' }] } }, 429],
  ['CAMPAIGN_MANAGER', 403, { error: { errors: [{ reason: 'forbidden' }] } }, undefined],
  ['CAMPAIGN_MANAGER', 401, {}, 500],
  ['SALESFORCE', 401, [{ errorCode: 'INVALID_SESSION_ID' }], 500],
  ['SALESFORCE', 401, [{ errorCode: 'SOMETHING' }], undefined],
  ['SALESFORCE', 403, [{ errorCode: 'REQUEST_LIMIT_EXCEEDED' }], 429],
  ['SALESFORCE', 400, [{ errorCode: 'UNABLE_TO_LOCK_ROW' }], 500],
  ['MP', 200, { status: 0, error: 'bad' }, 400],
  ['MP', 200, { status: 1 }, undefined],
  ['HS', 477, {}, 500],
  ['TIKTOK_ADS', 200, { code: 40100 }, 429],
  ['TIKTOK_ADS', 200, { code: 40002 }, 400],
  ['TIKTOK_ADS', 200, { code: 0 }, undefined],
];

test('answers of vendors count as what they mean', () => {
  for (const [type, code, body, counts] of rows) {
    const rule = matchRule(ruleSetOf(responseRuleTables[type] ?? []), {
      code,
      text: JSON.stringify(body),
      headers: {},
    });
    const got = rule === undefined ? undefined : codeBy(rule, code);
    assert.equal(got, counts, `${type} ${code} ${JSON.stringify(body)}`);
  }
});

test('every rule of the tables says something the status does not, or names why', () => {
  for (const [type, rules] of Object.entries(responseRuleTables)) {
    for (const rule of rules) {
      const code = rule.status?.[0];
      if (typeof code !== 'number' || rule.reason !== undefined || rule.outcome === 'refreshAuth') continue;
      const byStatus = code < 300 ? 'succeed' : isRetryable(code) ? 'retry' : 'abort';
      const isThrottle = code === 429 && rule.outcome === 'throttle';
      assert.ok(
        byStatus !== rule.outcome || code === 503 || isThrottle,
        `${type}: ${JSON.stringify(rule)} changes nothing`,
      );
    }
  }
});

test('a rule of a destination fits by status, header and body together, and the first one decides', () => {
  const { rules, problems } = readRules([
    { status: '400-499', header: { name: 'X-Limit', contains: 'DAILY' }, outcome: 'throttle' },
    { status: [409, '412'], outcome: 'succeed', reason: 'it is there already' },
    { body: { contains: 'duplicate' }, outcome: 'filter' },
    { body: { path: 'errors.0.code', equals: ['later', 7] }, outcome: 'retry' },
    { header: { name: 'x-refused' }, outcome: 'abort' },
  ]);
  assert.deepEqual(problems, []);
  const counts = (code: number, text = '', headers = {}) => {
    const rule = matchRule(ruleSetOf(rules), { code, text, headers });
    return rule === undefined ? undefined : codeBy(rule, code);
  };
  assert.equal(counts(400, '', { 'x-limit': 'daily quota' }), 429);
  assert.equal(counts(400, '', { 'x-limit': 'hourly' }), undefined);
  assert.equal(counts(409), 200);
  assert.equal(counts(412), 200);
  assert.equal(counts(422, 'A DUPLICATE event'), 298);
  assert.equal(counts(200, '{"errors":[{"code":7}]}'), 500);
  assert.equal(counts(200, '{"errors":[{"code":"7"}]}'), undefined);
  assert.equal(counts(503, '', { 'x-refused': '1' }), 400);
  assert.equal(counts(200, 'no json'), undefined);
  assert.equal(ruleSetOf(rules).readsSuccess, true);
  assert.equal(ruleSetOf(rules.slice(0, 2)).readsSuccess, false);
});

test('what is wrong with a rule is told, and the good ones count', () => {
  const { rules, problems } = readRules([
    { outcome: 'explode' },
    { status: 'soon', outcome: 'retry' },
    { status: 409, outcome: 'succeed' },
    { body: { regex: '(a+)+' }, outcome: 'abort' },
    { body: { equals: [1] }, outcome: 'abort' },
    { stauts: 1, outcome: 'abort' },
    'retry',
  ]);
  assert.equal(rules.length, 1);
  assert.equal(problems.length, 6);
  assert.match(problems[0] ?? '', /^responseRules\[0\]: expected outcome to be one of succeed/);
  assert.match(problems[4] ?? '', /got stauts/);
  assert.deepEqual(readRules('x').problems, ['expected responseRules to be a list']);
});
