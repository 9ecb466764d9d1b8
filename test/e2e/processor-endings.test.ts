// One event for each way in which an event can end on its way through the processor, and one that arrives. What the job
// itself says, the ledger, the dead letters, the counts of its job run and the status must all tell the same story.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LedgerKind } from '../../actors/storage/contract.ts';
import { openCluster } from '../support/embedded-cluster.ts';
import type { FakeDestination } from '../support/fake-destination.ts';
import { post } from '../support/gateway-client.ts';
import { type Ledger, readLedger } from '../support/ledger.ts';
import { startPipeline } from '../support/pipeline.ts';
import { pollUntil } from '../support/poll.ts';
import type { Program } from '../support/program.ts';
import { pendingJobs } from '../support/status.ts';
import type { DestinationSpec, SourceSpec } from '../support/workspace-file.ts';

const token = 'admin-secret';
const authorization = { authorization: `Bearer ${token}` };

interface Scenario {
  /** Also of its source, its destination, its job run and its message. */
  name: string;
  event: Record<string, unknown>;
  source?: Record<string, unknown>;
  destination?: Partial<DestinationSpec>;
  /** How it ends at its source. */
  atSource: 'processed' | 'filtered' | 'aborted' | 'deduplicated';
  /** Where it was given up or filtered at its source. */
  stage?: string;
  /** How it ends at its destination; undefined: it never comes to it. */
  atDestination?: 'delivered' | 'filtered' | 'aborted';
  /** The queue and stage of its dead letter. */
  letter?: string;
}

const plan = {
  config: { global: { allowUnplannedEvents: 'false' } },
  trackingPlan: { id: 'tp', version: 1, events: [{ name: 'Planned', eventType: 'track', rules: {} }] },
};
const consent = { oneTrustCookieCategories: [{ oneTrustCookieCategory: 'C1' }] };
const denied = { consentManagement: { provider: 'oneTrust', deniedConsentIds: ['C1'] } };
const googlebot = 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)';
const paid = { type: 'track', event: 'Paid' };

const scenarios: Scenario[] = [
  { name: 'delivered', event: paid, atSource: 'processed', atDestination: 'delivered' },
  { name: 'refused', event: paid, atSource: 'processed', atDestination: 'aborted', letter: 'rt' },
  { name: 'drained', event: paid, atSource: 'aborted', stage: 'preprocess', letter: 'gw preprocess' },
  { name: 'bot', event: { ...paid, context: { userAgent: googlebot } }, atSource: 'filtered', stage: 'bot_management' },
  {
    name: 'blocked',
    event: paid,
    source: { config: { eventFilteringOption: 'blacklistedEvents', blacklistedEvents: [{ eventName: 'Paid' }] } },
    atSource: 'filtered',
    stage: 'event_blocking',
  },
  {
    name: 'unplanned',
    event: paid,
    source: { dgSourceTrackingPlanConfig: plan },
    atSource: 'aborted',
    stage: 'tracking_plan_validator',
    letter: 'gw tracking_plan_validator',
  },
  {
    name: 'excluded',
    event: { ...paid, integrations: { All: false } },
    atSource: 'processed',
    atDestination: 'filtered',
  },
  {
    name: 'denied',
    event: { ...paid, context: denied },
    destination: { config: consent },
    atSource: 'processed',
    atDestination: 'filtered',
  },
  { name: 'disabled', event: paid, destination: { enabled: false }, atSource: 'processed', atDestination: 'filtered' },
  {
    name: 'unsupported',
    event: paid,
    destination: { messageTypes: ['identify'] },
    atSource: 'processed',
    atDestination: 'filtered',
  },
  {
    name: 'nameless',
    event: { type: 'track', event: 5 },
    destination: { config: { listOfConversions: [{ conversions: 'Paid' }] } },
    atSource: 'processed',
    atDestination: 'aborted',
    letter: 'err event_filter',
  },
  {
    name: 'left-out',
    event: paid,
    destination: { code: 'export function transformEvent() { return null; }' },
    atSource: 'processed',
    atDestination: 'filtered',
  },
  {
    name: 'thrown',
    event: paid,
    destination: { code: "export function transformEvent() { throw new Error('no'); }" },
    atSource: 'processed',
    atDestination: 'aborted',
    letter: 'err user_transformer',
  },
  {
    name: 'unset',
    event: paid,
    destination: { url: '' },
    atSource: 'processed',
    atDestination: 'aborted',
    letter: 'err dest_transformer',
  },
];

function sourcesOf(destination: FakeDestination): SourceSpec[] {
  return scenarios.map(({ name, source, destination: changes }) => ({
    id: name,
    writeKey: `wk-${name}`,
    ...(source === undefined ? {} : { options: source }),
    destinations: [{ id: `to-${name}`, url: destination.url(`/${name}`), ...changes }],
  }));
}

async function send(program: Program, { name, event }: Scenario): Promise<void> {
  const body = JSON.stringify({ batch: [{ ...event, userId: 'u', messageId: `m-${name}`, recordId: name }] });
  const headers = { 'X-Rudder-Job-Run-Id': `run-${name}` };
  const answer = await post(`${program.gatewayUrl}/v1/batch`, body, { writeKey: `wk-${name}`, headers });
  assert.equal(answer.status, 200, answer.text);
}

interface Told {
  jobs: { queue: string; state: string; attempts: { response: string }[] }[];
}

interface Run {
  tasks: { sources: { completed: boolean; stats: object; destinations: { stats: object }[] | null }[] }[];
}

async function ask<Answer>(url: string): Promise<Answer> {
  const answer = await fetch(url, { headers: authorization });
  assert.equal(answer.status, 200, url);
  return (await answer.json()) as Answer;
}

async function letterOf(program: Program, name: string): Promise<string> {
  type Letters = { deadLetters: { queue: string; answer: { stage?: string } }[] };
  const { deadLetters } = await ask<Letters>(`${program.adminUrl}/dead-letters?sourceId=${name}`);
  return deadLetters.map(({ queue, answer }) => `${queue} ${answer.stage ?? ''}`.trim()).join(', ');
}

async function check(program: Program, ledger: Ledger, scenario: Scenario): Promise<void> {
  const { name, atSource, atDestination, stage, letter = '' } = scenario;
  const counted = (kind: LedgerKind, at = ''): number => ledger.count(name, at, kind);
  assert.deepEqual([counted('accepted'), counted(atSource)], [1, 1], name);
  const to = `to-${name}`;
  assert.equal(counted('routed', to), atDestination === undefined ? 0 : 1, name);
  if (atDestination !== undefined) assert.equal(counted(atDestination, to), 1, name);
  assert.equal(await letterOf(program, name), letter, name);

  const { jobs } = await ask<Told>(`${program.adminUrl}/jobs?messageId=m-${name}`);
  const own = jobs.find(({ queue }) => queue === 'gw');
  assert.equal(own?.state, atSource === 'processed' ? 'succeeded' : atSource, name);
  if (stage !== undefined) assert.match(JSON.stringify(own?.attempts), new RegExp(`"stage\\\\*":\\\\*"${stage}`), name);

  const { tasks } = await ask<Run>(`${program.gatewayUrl}/internal/v2/job-status/run-${name}`);
  const [source] = tasks[0]?.sources ?? [];
  const failed = atSource === 'aborted' ? 1 : 0;
  assert.deepEqual(source?.stats, { in: 1, out: 1 - failed, failed }, name);
  assert.equal(source?.completed, true, name);
  const lost = atDestination === 'aborted' ? 1 : 0;
  const expected = atDestination === undefined ? undefined : [{ in: 1, out: 1 - lost, failed: lost }];
  assert.deepEqual(
    source?.destinations?.map(({ stats }) => stats),
    expected,
    name,
  );
}

test('wherever an event ends, everything that tells of it tells the same', { timeout: 180_000 }, async (t) => {
  const { program, destination } = await startPipeline(t, {
    sources: sourcesOf,
    env: { SLUICE_ADMIN_TOKEN: token, SLUICE_ENRICHMENT_BOTS: 'drop' },
  });
  destination.respond(({ path }) => (path === '/refused' ? 400 : 200));
  const rule = JSON.stringify({ sourceId: 'drained', reason: 'for the test' });
  const drain = await fetch(`${program.adminUrl}/drains`, { method: 'POST', headers: authorization, body: rule });
  assert.equal(drain.status < 300, true, await drain.text());
  for (const scenario of scenarios) await send(program, scenario);
  await destination.waitForAccepted(1);
  const status = await pollUntil('the queues to be empty', async () => {
    const now = await ask<unknown>(`${program.adminUrl}/status`);
    return pendingJobs(now) === 0 ? now : undefined;
  });
  const ledger = await readLedger(openCluster(t, program.dataDir));
  assert.deepEqual(ledger.faults(status), []);
  for (const scenario of scenarios) await check(program, ledger, scenario);
  assert.equal(destination.accepted().length, 1);

  // The same event again is a duplicate at its source; what was given up there goes through once it is tried again.
  const [first] = scenarios;
  assert.ok(first);
  await send(program, first);
  await fetch(`${program.adminUrl}/drains/1`, { method: 'DELETE', headers: authorization });
  const again = await fetch(`${program.adminUrl}/dead-letters/retry`, {
    method: 'POST',
    headers: authorization,
    body: JSON.stringify({ sourceId: 'drained' }),
  });
  assert.equal(((await again.json()) as { retried: number }).retried, 1);
  await destination.waitForAccepted(2);
  await pollUntil('the queues to be empty', async () =>
    pendingJobs(await ask(`${program.adminUrl}/status`)) === 0 ? true : undefined,
  );
  const later = await readLedger(openCluster(t, program.dataDir));
  assert.deepEqual(later.faults(await ask(`${program.adminUrl}/status`)), []);
  assert.deepEqual([later.count('delivered', '', 'accepted'), later.count('delivered', '', 'deduplicated')], [2, 1]);
  assert.deepEqual([later.count('drained', '', 'aborted'), later.count('drained', '', 'processed')], [0, 1]);
  const { tasks } = await ask<Run>(`${program.gatewayUrl}/internal/v2/job-status/run-drained`);
  assert.deepEqual(tasks[0]?.sources[0]?.stats, { in: 1, out: 1, failed: 0 });
});
