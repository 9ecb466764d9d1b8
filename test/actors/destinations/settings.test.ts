// Settings of destinations: what is read, which errors name which key, and settings that come from the event.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defineDestination } from '../../../actors/destinations/define-destination.ts';
import { postJson, sendTo } from '../../../actors/destinations/destination.ts';
import { missingSender } from '../../../actors/destinations/senders.ts';
import { flag, lines, names, oneOf, rows, text, url } from '../../../actors/destinations/settings.ts';
import { goldenMetadata, sentBy } from '../../support/destinations.ts';
import { makeDestination } from '../../support/workspace-objects.ts';

const example = defineDestination({
  name: 'EXAMPLE',
  deliveredBy: 'http',
  summary: 'an example',
  messageTypes: ['track'],
  settings: {
    key: text('a key'),
    host: url('a host', 'https://example.com'),
    certificate: lines('a certificate', ''),
    region: oneOf('a region', ['us', 'eu']),
    isLoud: flag('loud'),
    mapping: rows('a mapping', ['from', 'to']),
    traits: names('some traits', 'trait'),
  },
  prepare(settings) {
    const send = sendTo(postJson(settings.host, { key: settings.key }));
    return () => send(Buffer.from(JSON.stringify(settings)));
  },
});

function compile(config: Record<string, unknown>) {
  return example.compile(makeDestination('d', { config }));
}

const track = { type: 'track', event: 'Paid', properties: { region: 'EU', total: 3 } };

test('settings have defaults and forgive what forms leave half filled', () => {
  const config = {
    key: ' k ',
    certificate: 'a\nb',
    mapping: [{ from: 'a', to: 'b' }, { from: '', to: 'c' }, { to: 'd' }, 'no', null],
    traits: [{ trait: 'plan' }, { trait: ' ' }],
    unknown: 1,
  };
  assert.deepEqual(sentBy(compile(config).transform(track, goldenMetadata)).body, {
    key: 'k',
    host: 'https://example.com',
    certificate: 'a\nb',
    region: 'us',
    isLoud: false,
    mapping: [{ from: 'a', to: 'b' }],
    traits: ['plan'],
  });
});

test('bad settings name the key, what was expected and what came, but no secret', () => {
  const table: [Record<string, unknown>, string][] = [
    [{}, 'key is missing'],
    [{ key: '' }, 'key is missing'],
    [{ key: { a: 'secret' } }, 'expected key to be a text, got a value of type object'],
    [{ key: 'sec\nret' }, 'expected key to be a text in one line, got another text'],
    [{ key: 'k', host: 'example.com' }, 'expected host to be an http or https URL, got another text'],
    [{ key: 'k', certificate: 7 }, 'expected certificate to be a text, got a value of type number'],
    [{ key: 'k', region: 'mars' }, 'expected region to be one of us, eu, got "mars"'],
    [{ key: 'k', isLoud: 'yes' }, 'expected isLoud to be true or false, got "yes"'],
    [{ key: 'k', mapping: 'a' }, 'expected mapping to be a list, got another text'],
  ];
  for (const [config, problem] of table) {
    assert.equal(compile(config).problem, problem);
    const aborted = { kind: 'aborted', code: 400, reason: problem };
    assert.deepEqual(compile(config).transform(track, goldenMetadata), aborted);
  }
});

test('a setting may come from the event, which then goes without it', () => {
  const compiled = compile({ key: 'k', region: '{{ event.properties.region || us }}' });
  assert.equal(compiled.problem, undefined);
  const read = (event: Record<string, unknown>) => sentBy(compiled.transform(event, goldenMetadata)).body;
  assert.equal((read(track) as { region: string }).region, 'eu');
  assert.equal((read({ type: 'track' }) as { region: string }).region, 'us');
  assert.deepEqual(compiled.transform({ type: 'track', properties: { region: 'mars' } }, goldenMetadata), {
    kind: 'aborted',
    code: 400,
    reason: 'expected region to be one of us, eu, got "mars"',
  });
});

test('types the destination has no use for are filtered, those nobody knows are aborted', () => {
  const { transform } = compile({ key: 'k' });
  assert.equal(transform({ type: ' Track ' }, goldenMetadata).kind, 'deliver');
  assert.deepEqual(transform({ type: 'alias' }, goldenMetadata), {
    kind: 'filtered',
    reason: 'EXAMPLE has no use for events of type alias',
  });
  assert.equal(transform({}, goldenMetadata).kind, 'aborted');
  assert.deepEqual(transform({ type: 'dance' }, goldenMetadata), {
    kind: 'aborted',
    code: 400,
    reason: 'message type "dance" is not known',
  });
});

test('what nothing delivers to is refused by its type', () => {
  assert.equal(missingSender({ name: 'X', deliveredBy: 'http' }), undefined);
  const nobody = new Set<string>();
  assert.match(missingSender({ name: 'X', deliveredBy: 'custom' }, nobody) ?? '', /nothing that delivers .* type X$/);
  assert.equal(missingSender({ name: 'X', deliveredBy: 'custom' }, new Set(['X'])), undefined);
});
