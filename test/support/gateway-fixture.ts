// A real gateway on a free port in front of a recorded storage boundary, for one test.

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type Settings, settingsSchema } from '../../actors/config.ts';
import { jsonAnswer } from '../../actors/gateway/answers.ts';
import { type Gateway, startGateway } from '../../actors/gateway/gateway.ts';
import type { AnswerWith } from '../../actors/gateway/ingest.ts';
import type { JobRuns } from '../../actors/gateway/job-runs.ts';
import { LiveEvents } from '../../actors/gateway/live-events.ts';
import type { WebhookFailure } from '../../actors/gateway/webhook-route.ts';
import { EventGate } from '../../actors/services/event-gate.ts';
import { builtInWebhookSources } from '../../actors/services/webhook-sources.ts';
import { type SourceConfig, WorkspaceHolder } from '../../actors/services/workspace.ts';
import { loadConfig } from '../../runtime/config-load.ts';
import { createMetrics, type ThreadMetrics } from '../../runtime/metrics.ts';
import { realSeams } from '../../runtime/seams.ts';
import type { Tracing } from '../../runtime/telemetry.ts';
import type { HttpEngine } from '../../transport/index.ts';
import { RawClient } from './raw-http.ts';
import { RecordingStorage } from './recording-storage.ts';
import { makeDestination } from './workspace-objects.ts';

export interface GatewayFixture {
  gateway: Gateway;
  storage: RecordingStorage;
  workspace: WorkspaceHolder;
  metrics: ThreadMetrics;
  logged: { level: string; text: string }[];
  database: { up: boolean };
  /** Workspaces over their quota. */
  fullWorkspaces: Set<string>;
  disk: { low: boolean; memoryLow: boolean };
  live: LiveEvents;
  webhookFailures: WebhookFailure[];
  /** Calls of the job-status API. */
  asked: string[];
  /** Set to hold the ends of turns back: what they would have run is in `turns.held`. */
  turns: { holding: boolean; held: (() => void)[] };
  connect(): Promise<RawClient>;
}

export interface GatewayFixtureOptions {
  /** Settings by path, as flags give them. */
  flags?: Record<string, string>;
  tracing?: Tracing;
  newMessageId?: () => string;
  /** Default: nobody is suppressed or limited. */
  gate?: EventGate;
}

export const fixedNowMs = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
export const fixedNowText = '2026-01-02T03:04:05.678Z';
export const writeKey = 'key-1';

const passingTracing: Tracing = {
  enabled: false,
  start: (_name, options) => ({ traceparent: options?.traceparent, end: () => {} }),
};

export async function startTestGateway(
  t: TestContext,
  engine: HttpEngine,
  options: GatewayFixtureOptions = {},
): Promise<GatewayFixture> {
  const storage = new RecordingStorage();
  const workspace = new WorkspaceHolder();
  workspace.publish({ version: 1, hash: '', loadedAtMs: fixedNowMs, sources: testSources });
  const metrics = createMetrics();
  const logged: GatewayFixture['logged'] = [];
  const note = (level: string) => (_fields: Record<string, unknown>, text: string) => logged.push({ level, text });
  const database = { up: true };
  const [disk, fullWorkspaces] = [{ low: false, memoryLow: false }, new Set<string>()];
  const seams = realSeams();
  const live = new LiveEvents(seams.clock);
  const webhookFailures: WebhookFailure[] = [];
  const asked: string[] = [];
  const turns: GatewayFixture['turns'] = { holding: false, held: [] };
  const gateway = await startGateway({
    settings: settingsWith({
      'gateway.host': '127.0.0.1',
      'gateway.port': '0',
      'http.engine': engine,
      ...options.flags,
    }),
    workspace,
    storage: () => storage,
    telemetry: { metrics, tracing: options.tracing ?? passingTracing },
    log: { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') },
    seams: {
      executor: { nextTurn: (run) => (turns.holding ? turns.held.push(run) : seams.executor.nextTurn(run)) },
      clock: { ...seams.clock, nowMs: () => fixedNowMs, monotonicMs: () => seams.clock.monotonicMs() },
    },
    newMessageId: options.newMessageId ?? (() => '00000000-0000-4000-8000-000000000000'),
    databaseUp: () => database.up,
    gate: options.gate ?? new EventGate({ suppressedUsers: undefined, rateLimiter: undefined }),
    ...intakeOf(disk, fullWorkspaces),
    version: '1.2.3',
    webhookSources: builtInWebhookSources(() => 'visitor'),
    live: live,
    onWebhookFailed: (failure) => webhookFailures.push(failure),
    jobRuns: recordingJobRuns(asked),
  });
  t.after(() => gateway.close());
  const connect = async () => {
    const client = await RawClient.connect(gateway.port);
    t.after(() => client.destroy());
    return client;
  };
  return {
    gateway,
    storage,
    workspace,
    metrics,
    logged,
    database,
    disk,
    fullWorkspaces,
    live,
    webhookFailures,
    asked,
    turns,
    connect,
  };
}

/** Notes in `asked` what it is asked for, and answers with that. */
function recordingJobRuns(asked: string[]): JobRuns {
  const ask =
    (what: string) =>
    (jobRunId: string, ...rest: unknown[]) => {
      asked.push(`${what} ${jobRunId}`);
      (rest.at(-1) as AnswerWith)(jsonAnswer({ what: `${what} ${jobRunId}` }));
    };
  return {
    status: ask('status'),
    deleteStatus: ask('deleteStatus'),
    failedRecords: ask('failedRecords'),
    deleteFailedRecords: ask('deleteFailedRecords'),
    drain: ask('drain'),
  };
}

/** What the program's watches tell the gateway. */
function intakeOf(disk: GatewayFixture['disk'], fullWorkspaces: ReadonlySet<string>) {
  return {
    closedReason: () => (disk.low ? 'the disk is nearly full' : ''),
    isWorkspaceFull: (workspaceId: string) => fullWorkspaces.has(workspaceId),
    memoryLow: () => disk.memoryLow,
  };
}

export const track = '{"userId":"u1","event":"Bought","messageId":"m1"}';

/** A gateway and one client connection to it. */
export async function setup(t: TestContext, engine: HttpEngine, options: GatewayFixtureOptions = {}) {
  const fixture = await startTestGateway(t, engine, options);
  const client = await fixture.connect();
  const send = async (path: string, parts: RequestParts = {}) => {
    await client.send(requestBytes(path, parts));
    const response = await client.response();
    assert.ok(response !== undefined, 'expected an answer');
    return response;
  };
  /** Status and text of one answer. */
  const answer = async (path: string, parts: RequestParts = {}) => {
    const { status, body } = await send(path, parts);
    return [status, body];
  };
  const eventStored = () => JSON.parse(Buffer.from(fixture.storage.stored[0]?.payload ?? []).toString());
  return { ...fixture, client, send, answer, eventStored };
}

export const gzip = (body: string): { body: Buffer; headers: Record<string, string> } => ({
  body: gzipSync(body),
  headers: { 'Content-Encoding': 'gzip' },
});

export const basicAuth = (key: string) => `Basic ${Buffer.from(`${key}:`).toString('base64')}`;

export interface RequestParts {
  method?: string;
  headers?: Record<string, string>;
  body?: string | Uint8Array;
}

/** Bytes of a request; with the write key unless `authorization` is given ('' = without). */
export function requestBytes(path: string, { method = 'POST', headers = {}, body = '' }: RequestParts): Buffer {
  const all: Record<string, string> = {
    Host: 'gateway',
    Authorization: basicAuth(writeKey),
    'Content-Length': String(Buffer.byteLength(body)),
    ...headers,
  };
  const lines = Object.entries(all).filter(([, value]) => value !== '');
  const head = `${method} ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
  return Buffer.concat([Buffer.from(head), Buffer.from(body)]);
}

export function settingsWith(flags: Record<string, string>): Settings {
  const loaded = loadConfig(settingsSchema, {
    environment: {},
    flags: Object.entries(flags).map(([path, value]) => `--${path}=${value}`),
  });
  if (!loaded.ok) throw new Error(`expected good settings, got ${JSON.stringify(loaded.faults)}`);
  return loaded.settings;
}

function sourceOf(id: string, key: string, enabled: boolean): SourceConfig {
  const sourceDefinition = { id: 'd', name: 'HTTP', category: '', type: '' };
  return {
    id,
    name: id,
    writeKey: key,
    enabled,
    workspaceId: 'workspace-1',
    config: {},
    sourceDefinition,
    destinations: [],
  };
}

const testSources = [
  sourceOf('source-1', writeKey, true),
  sourceOf('source-2', 'key-2', true),
  sourceOf('source-off', 'key-off', false),
  {
    ...sourceOf('source-hook', 'key-hook', true),
    sourceDefinition: { id: 'd', name: 'webhook', category: 'webhook', type: '' },
  },
  {
    ...sourceOf('source-shop', 'key-shop', true),
    sourceDefinition: { id: 'd', name: 'Shopify', category: 'webhook', type: '' },
  },
  { ...sourceOf('source-replay', 'key-replay', true), originalId: 'source-1' },
  {
    ...sourceOf('source-retl', 'key-retl', true),
    destinations: [makeDestination('dest-on'), makeDestination('dest-off', { enabled: false })],
  },
];
