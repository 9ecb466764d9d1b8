// The processor's stages one by one: which events they end, what they add, and that a source without them has none.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Settings, settingsSchema } from '../../actors/config.ts';
import { ControlsHolder } from '../../actors/controls/contract.ts';
import type { GatewayParameters } from '../../actors/job.ts';
import { type Enrichers, loadEnrichers } from '../../actors/processor/enrichers.ts';
import { EventInHand } from '../../actors/processor/stage.ts';
import { processorStages } from '../../actors/processor/stages.ts';
import type { SourceConfig } from '../../actors/services/workspace.ts';
import { loadConfig } from '../../runtime/index.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { addressDatabase } from '../support/mmdb.ts';
import { makeSource } from '../support/workspace-objects.ts';

const receivedAtMs = Date.parse('2026-03-01T12:00:00.000Z');
const noEnrichers: Enrichers = { geo: undefined, plugIns: [] };
const firefox = 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0';
const googlebot = 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)';

interface Input {
  source?: Partial<SourceConfig>;
  parameters?: Partial<GatewayParameters>;
  enrichment?: Partial<Settings['enrichment']>;
  enrichers?: Enrichers;
  controls?: ControlsHolder;
  failures?: unknown[];
}

/** What the stages of a source make of an event: the stage that ended it, or the event. */
function run(event: Record<string, unknown>, input: Input = {}) {
  const { controls = new ControlsHolder(), enrichers = noEnrichers, failures = [] } = input;
  const loaded = loadConfig(settingsSchema, { environment: {}, flags: [] });
  assert(loaded.ok);
  const settings = { ...loaded.settings, enrichment: { ...loaded.settings.enrichment, ...input.enrichment } };
  const source = { ...makeSource('src', []), ...input.source };
  const enricherFailed = (error: unknown) => void failures.push(error);
  const makers = processorStages({ settings, controls, enrichers, enricherFailed, planProblem: () => undefined });
  const stages = makers.map((make) => make(source)).filter((stage) => stage !== undefined);
  const payload = Buffer.from(JSON.stringify(event));
  const job = {
    jobId: 1,
    parentId: 0,
    partition: 'src',
    userId: 'u',
    messageId: 'm',
    receivedAtMs,
    parameters: '',
    payload,
  };
  const plan = { source, stages, routes: [], taps: [], isTransforming: false, isHydrated: false };
  const parameters = { source_id: 'src', workspace_id: 'ws-1', ...input.parameters };
  const handed = { job, afterId: 0, again: false, status: undefined };
  const inHand = new EventInHand(handed, parameters, plan, payload, { ...event });
  for (const stage of stages) {
    const ending = stage(inHand, { nowMs: receivedAtMs });
    if (ending !== undefined) return { ended: `${ending.stage} ${ending.kind} ${ending.code}`, inHand, stages };
  }
  return { ended: '', inHand, stages };
}

function contextOf({ inHand }: ReturnType<typeof run>): Record<string, unknown> {
  const written = JSON.parse(Buffer.concat(inHand.encoded()).toString());
  assert.deepEqual(written, inHand.event, 'what is written is what was changed');
  return Object(written.context);
}

test('a source that uses nothing goes through two looks and keeps its bytes', () => {
  const { ended, stages, inHand } = run({ type: 'track', event: 'Paid', context: { userAgent: googlebot } });
  assert.deepEqual([ended, stages.length], ['', 2]);
  assert.deepEqual(inHand.event.context, { userAgent: googlebot });
  assert.equal(inHand.encoded().length, 2, 'times are spliced into the bytes as they came');
});

test('events are blocked by name: of the workspace, of the source, and only track', () => {
  const blockedEvents = { track: ['Secret'], page: ['Home'] };
  const own = (option: string) => ({ config: { eventFilteringOption: option, [option]: [{ eventName: 'Paid' }] } });
  const table: [Record<string, unknown>, Partial<SourceConfig>, string][] = [
    [{ type: 'track', event: 'Secret' }, { blockedEvents }, 'event_blocking filtered 298'],
    [{ type: 'track', event: 'secret' }, { blockedEvents }, ''],
    [{ type: 'page', event: 'Secret' }, { blockedEvents }, ''],
    [{ type: 'page', name: 'Home' }, { blockedEvents }, ''],
    [{ type: 'track', event: '' }, { blockedEvents }, ''],
    [{ type: 'track', event: 'Paid' }, own('blacklistedEvents'), 'event_blocking filtered 298'],
    [{ type: 'track', event: 'Seen' }, own('blacklistedEvents'), ''],
    [{ type: 'track', event: 'Paid' }, own('whitelistedEvents'), ''],
    [{ type: 'track', event: 'Seen' }, own('whitelistedEvents'), 'event_blocking filtered 298'],
    [{ type: 'identify' }, own('whitelistedEvents'), ''],
  ];
  for (const [event, source, expected] of table)
    assert.equal(run(event, { source }).ended, expected, JSON.stringify(event));
  const warehouse = { sourceDefinition: { id: 'w', name: 'W', category: 'warehouse', type: '' } };
  assert.equal(run({ type: 'track', event: 'Secret' }, { source: { blockedEvents, ...warehouse } }).ended, '');
});

test('bots: what came marked is obeyed, what the user agent tells only where it is wanted', () => {
  const marked = { is_bot: true, bot_name: 'Googlebot', bot_url: 'http://g', bot_action: 'drop' };
  assert.equal(run({ type: 'track' }, { parameters: marked }).ended, 'bot_management filtered 298');
  const flagged = run({ type: 'track' }, { parameters: { ...marked, bot_action: 'flag' } });
  assert.deepEqual(contextOf(flagged), {
    isBot: true,
    bot: { name: 'Googlebot', url: 'http://g', isInvalidBrowser: false },
  });
  assert.equal(run({ type: 'track' }, { parameters: { ...marked, bot_action: 'other' } }).ended, '');
  const agent = (userAgent: string) => ({ type: 'track', context: { userAgent } });
  assert.equal(run(agent(googlebot), { enrichment: { bots: 'drop' } }).ended, 'bot_management filtered 298');
  assert.equal(run(agent(firefox), { enrichment: { bots: 'drop' } }).ended, '');
  const seen = contextOf(run(agent(googlebot), { enrichment: { bots: 'flag' } }));
  assert.deepEqual([seen.isBot, Reflect.get(Object(seen.bot), 'url')], [true, 'http://www.google.com/bot.html']);
});

test('the user agent fills what the client has left out', () => {
  const context = { userAgent: firefox, os: { name: 'its own' } };
  const filled = contextOf(run({ type: 'track', context }, { enrichment: { userAgent: true } }));
  assert.deepEqual([filled.os, filled.browser], [{ name: 'its own' }, { name: 'Firefox', version: '128.0' }]);
  assert.deepEqual(filled.device, { type: 'desktop' });
});

test('the address database tells where an event came from', async (t) => {
  const file = join(await temporaryFolder(t), 'city.mmdb');
  const record = {
    city: { names: { en: 'Boxford' } },
    country: { iso_code: 'GB' },
    subdivisions: [{ names: { en: 'England' } }],
    postal: { code: 'OX1' },
    location: { latitude: 51.75, longitude: -1.25, time_zone: 'Europe/London' },
  };
  writeFileSync(file, addressDatabase('81.2.69.0/24', record));
  const enrichers = await loadEnrichers({ ...enrichmentDefaults(), geoFile: file });
  const source = { geoEnrichment: true };
  const geoOf = (event: Record<string, unknown>, parameters = {}) =>
    contextOf(run({ type: 'track', ...event }, { source, enrichers, parameters })).geo;
  const boxford = {
    ip: '81.2.69.142',
    city: 'Boxford',
    country: 'GB',
    region: 'England',
    postal: 'OX1',
    location: '51.75,-1.25',
    timezone: 'Europe/London',
  };
  assert.deepEqual(geoOf({ context: { ip: '81.2.69.142' } }), boxford);
  assert.deepEqual(geoOf({}, { request_ip: '81.2.69.142' }), boxford);
  const nowhere = { city: '', country: '', region: '', postal: '', location: '', timezone: '' };
  assert.deepEqual(geoOf({ context: { ip: '10.0.0.1' } }), { ip: '10.0.0.1', ...nowhere });
  assert.deepEqual(geoOf({ context: { ip: 'not an address' } }), { ip: 'not an address', ...nowhere });
  assert.deepEqual(geoOf({ context: { ip: '81.2.69.142', geo: 'known' } }), 'known');
  const unasked = run({ type: 'track', context: { ip: '81.2.69.142' } }, { enrichers });
  assert.equal(contextOf(unasked).geo, undefined);
  const all = run({ type: 'track', context: { ip: '81.2.69.142' } }, { enrichers, enrichment: { geoSources: 'all' } });
  assert.deepEqual(contextOf(all).geo, boxford);
});

test('an enricher of the operator changes events; what it throws costs none', async (t) => {
  const file = join(await temporaryFolder(t), 'enricher.mjs');
  writeFileSync(
    file,
    `export function createEnricher(source) {
       if (source.id !== 'src') return undefined;
       return (event, { messageId }) => {
         if (event.event === 'bad') throw new Error('no luck');
         event.context = { ...event.context, seen: messageId };
       };
     }`,
  );
  const enrichers = await loadEnrichers({ ...enrichmentDefaults(), plugIns: `${file},` });
  const failures: unknown[] = [];
  assert.deepEqual(contextOf(run({ type: 'track' }, { enrichers, failures })), { seen: 'm' });
  assert.equal(run({ type: 'track', event: 'bad' }, { enrichers, failures }).ended, '');
  assert.equal(failures.length, 1);
  assert.equal(run({ type: 'track' }, { enrichers, source: { id: 'other' } }).stages.length, 2);
  await assert.rejects(loadEnrichers({ ...enrichmentDefaults(), plugIns: import.meta.filename }), /createEnricher/);
});

test('events are given up by source, job run or age while a rule says so', () => {
  const controls = new ControlsHolder();
  const none = { jobId: 0, destinationId: '', sourceId: '', jobRunId: '', receivedBeforeMs: 0, sinceMs: 0 };
  const ended = (parameters: Partial<GatewayParameters> = {}) => run({ type: 'track' }, { controls, parameters }).ended;
  const drained = 'preprocess aborted 410';
  const rule = (changes: object) =>
    controls.publish({ paused: [], drains: [{ id: 1, reason: 'r', ...none, ...changes }] });
  assert.equal(ended(), '');
  rule({ sourceId: 'src' });
  assert.equal(ended(), drained);
  rule({ sourceId: 'other' });
  assert.equal(ended(), '');
  rule({ jobRunId: 'run' });
  assert.deepEqual([ended(), ended({ source_job_run_id: 'run' })], ['', drained]);
  rule({ receivedBeforeMs: receivedAtMs + 1 });
  assert.equal(ended(), drained);
  rule({ receivedBeforeMs: receivedAtMs });
  assert.equal(ended(), '');
  rule({ sourceId: 'src', destinationId: 'd' });
  assert.equal(ended(), '', "a rule of a destination is its router's");
});

test('what reverse ETL marks for billing goes to no destination', () => {
  const source = { sourceDefinition: { id: 'w', name: 'W', category: 'warehouse', type: '' } };
  const context = { activation: { fingerprint: 'f', origin: 'o', kept: 1 } };
  assert.deepEqual(contextOf(run({ type: 'track', context }, { source })), { activation: { kept: 1 } });
});

function enrichmentDefaults(): Settings['enrichment'] {
  const loaded = loadConfig(settingsSchema, { environment: {}, flags: [] });
  assert(loaded.ok);
  return loaded.settings.enrichment;
}
