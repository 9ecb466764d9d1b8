// SLACK and DISCORD: sentences about events.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matchesName, namePattern } from '../../../actors/destinations/name-pattern.ts';
import { problemOf, sentBy, transformer } from '../../support/destinations.ts';

const hook = 'https://hooks.example.com/1';
const paid = {
  type: 'track',
  event: 'Order Paid',
  userId: 'u1',
  properties: { total: 12.5, items: ['a'] },
  context: { traits: { name: 'Ann <b>' } },
};
const identify = { type: 'identify', userId: 'u1', traits: { plan: 'pro', email: 'ann@example.com', score: 7 } };

test('Slack gets a sentence, with what users wrote escaped', () => {
  const transform = transformer('SLACK', { webhookUrl: hook });
  const sent = sentBy(transform(paid));
  assert.equal(sent.request.endpoint, hook);
  assert.deepEqual(sent.body, { text: 'Ann &lt;b&gt; did Order Paid' });
  assert.deepEqual(sentBy(transform(identify)).body, { text: 'Identified ann@example.com' });
});

test('Slack sentences and channels are chosen by event name', () => {
  const transform = transformer('SLACK', {
    webhookUrl: hook,
    identifyTemplate: '{{ name }}: {{traitsList}}',
    whitelistedTraitsSettings: [{ trait: 'plan' }, { trait: 'score' }],
    eventTemplateSettings: [
      { eventName: 'Order*', eventTemplate: '{{ userId }} paid {{properties.total}} {{{properties.items}}}{{x}}' },
    ],
    eventChannelSettings: [{ eventName: 'Order Paid', eventChannelWebhook: 'https://hooks.example.com/2' }],
    denyListOfEvents: [{ eventName: '*Ping' }],
  });
  const sent = sentBy(transform(paid));
  assert.equal(sent.request.endpoint, 'https://hooks.example.com/2');
  assert.deepEqual(sent.body, { text: 'u1 paid 12.5 ["a"]' });
  assert.deepEqual(sentBy(transform(identify)).body, { text: 'ann@example.com: plan: pro, score: 7' });
  assert.equal(transform({ ...paid, event: 'Health Ping' }).kind, 'filtered');
  assert.deepEqual(transform({ type: 'track' }), { kind: 'aborted', code: 400, reason: 'event is missing' });
  assert.equal(transform({ type: 'page' }).kind, 'filtered');
});

test('settings a chat cannot use name their key', () => {
  assert.equal(problemOf('SLACK', {}), 'webhookUrl is missing');
  const broken = [{ eventName: '(', eventTemplate: 'x', eventRegex: true }];
  const problem = 'eventTemplateSettings: expected "(" to be a regular expression';
  for (const type of ['SLACK', 'DISCORD'])
    assert.equal(problemOf(type, { webhookUrl: hook, eventTemplateSettings: broken }), problem);
  const channel = [{ eventName: 'a', eventChannelWebhook: 'nowhere' }];
  assert.match(
    problemOf('SLACK', { webhookUrl: hook, eventChannelSettings: channel }) ?? '',
    /eventChannelWebhook of a/,
  );
});

test('Discord gets a sentence that pings nobody, or an embed', () => {
  const quiet = { allowed_mentions: { parse: [] } };
  const plain = transformer('DISCORD', { webhookUrl: hook, blacklistedEvents: [{ eventName: 'Ping' }] });
  const loud = { ...paid, context: { traits: { name: '@everyone *x*' } } };
  assert.deepEqual(sentBy(plain(loud)).body, { content: '@everyone \\*x\\* did Order Paid', ...quiet });
  assert.equal(plain({ type: 'track', event: 'Ping' }).kind, 'filtered');
  const embed = transformer('DISCORD', {
    webhookUrl: hook,
    embedFlag: true,
    embedTitleTemplate: 'Order of {{userId}}',
  });
  assert.deepEqual(sentBy(embed(paid)).body, {
    embeds: [{ title: 'Order of u1', description: 'Ann <b\\> did Order Paid' }],
    ...quiet,
  });
});

test('messages end where the chat would refuse them', () => {
  const long = { type: 'track', event: 'x'.repeat(50_000), userId: 'u' };
  const { content } = sentBy(transformer('DISCORD', { webhookUrl: hook })(long)).body as { content: string };
  assert.equal(content.length, 2000);
  const { text } = sentBy(transformer('SLACK', { webhookUrl: hook })(long)).body as { text: string };
  assert.equal(text.length, 40_000);
});

test('a star stands for any part of a name', () => {
  for (const [pattern, name] of [
    ['a', 'a'],
    ['*', ''],
    ['a*', 'ab'],
    ['*b', 'ab'],
    ['a*c*e', 'abcde'],
    ['a**b', 'ab'],
  ] as const)
    assert.ok(matchesName(pattern, name), `${pattern} ${name}`);
  for (const [pattern, name] of [
    ['a', 'ab'],
    ['a*', 'b'],
    ['ab*ba', 'aba'],
    ['a*c*e', 'ace'.slice(0, 2)],
    ['*x*', 'abc'],
  ] as const)
    assert.ok(!matchesName(pattern, name), `${pattern} ${name}`);
});

test('regular expressions of customers choose events, and cannot hold the thread', () => {
  const matches = namePattern('^Order (Paid|Sent)$', true);
  assert.ok(typeof matches === 'function');
  assert.deepEqual([matches('Order Paid'), matches('An Order Paid')], [true, false]);
  const hostile = namePattern('(a+)+$', true);
  assert.ok(typeof hostile === 'function');
  assert.equal(hostile(`${'a'.repeat(5_000)}!`), false);
  assert.equal(hostile('a'.repeat(1_000_000)), false);
  const template = { eventName: 'paid$', eventTemplate: 'money: {{event}}', eventRegex: 'true' };
  const transform = transformer('SLACK', { webhookUrl: hook, eventTemplateSettings: [template] });
  assert.deepEqual(sentBy(transform({ ...paid, event: 'unpaid' })).body, { text: 'money: unpaid' });
});
