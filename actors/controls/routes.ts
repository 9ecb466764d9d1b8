// The admin API of destinations: what they are and how they do, pausing, resuming and draining them, and sending one a
// test event.

import { AdminError, type AdminRequest, type AdminRoute, type DestinationState } from '../admin/contract.ts';
import type { DestinationConfig, WorkspaceHolder } from '../services/workspace.ts';
import type { TestResult } from './contract.ts';
import type { DestinationControls } from './controls.ts';

export interface DestinationRoutesOptions {
  controls: DestinationControls;
  workspace: WorkspaceHolder;
  states(): DestinationState[];
  /** Sends one event to the destination now, outside of any queue. */
  test(destination: DestinationConfig, event: unknown): Promise<TestResult>;
}

const reasonCharactersMax = 500;
const drainFields = ['destinationId', 'sourceId', 'jobRunId', 'jobId', 'receivedBefore', 'reason'];

export function destinationRoutes(options: DestinationRoutesOptions): AdminRoute[] {
  const { controls } = options;
  return [
    {
      method: 'GET',
      path: '/destinations',
      doc: 'every destination, and whether it is paused, draining or down',
      handle: () => ({ status: 200, json: { destinations: listOf(options) } }),
    },
    {
      method: 'POST',
      path: '/destinations/:id/pause',
      doc: 'sends nothing to a destination until it is resumed; body: {"reason"}',
      handle: async (request) => {
        const { id } = destinationOf(options, request);
        await controls.pause(id, reasonOf(await bodyOf(request, ['reason'])));
        return { status: 200, json: { destinationId: id, state: 'paused' } };
      },
    },
    {
      method: 'POST',
      path: '/destinations/:id/resume',
      doc: 'ends a pause',
      handle: async ({ params: { id = '' } }) => ({
        status: 200,
        // Also for one that is no longer configured: what was paused must be possible to resume.
        json: { destinationId: id, wasPaused: await controls.resume(id) },
      }),
    },
    {
      method: 'POST',
      path: '/destinations/:id/test',
      doc: 'sends one event now and tells the answer; body: {"event"}, by default a track event',
      handle: async (request) => {
        const destination = destinationOf(options, request);
        const { event } = await bodyOf(request, ['event']);
        return { status: 200, json: await options.test(destination, event) };
      },
    },
    {
      method: 'GET',
      path: '/drains',
      doc: 'which pending jobs are being given up',
      handle: () => ({ status: 200, json: { drains: controls.current.drains } }),
    },
    {
      method: 'POST',
      path: '/drains',
      doc: 'aborts pending jobs that match all of {"destinationId", "sourceId", "jobRunId", "jobId", "receivedBefore"}; with "reason"',
      handle: async (request) => ({ status: 201, json: { id: await controls.drain(await readDrain(request)) } }),
    },
    {
      method: 'DELETE',
      path: '/drains/:id',
      doc: 'ends a drain',
      handle: async ({ params: { id = '' } }) => {
        const isKnown = /^\d{1,9}$/.test(id) && (await controls.endDrain(Number(id)));
        if (!isKnown) throw new AdminError(404, `expected the id of a drain, got ${JSON.stringify(id)}`);
        return { status: 200, json: { id: Number(id), ended: true } };
      },
    },
  ];
}

function listOf({ workspace, states }: DestinationRoutesOptions) {
  const byId = new Map<string, DestinationState[]>();
  const everywhere: DestinationState[] = [];
  for (const state of states()) {
    if (state.destinationId === '') everywhere.push(state);
    else byId.set(state.destinationId, [...(byId.get(state.destinationId) ?? []), state]);
  }
  const seen = new Map<string, unknown>();
  for (const source of workspace.current.snapshot.sources) {
    for (const { id, name, workspaceId, enabled, destinationDefinition } of source.destinations) {
      const type = destinationDefinition.name;
      seen.set(id, { id, name, type, workspaceId, enabled, states: [...(byId.get(id) ?? []), ...everywhere] });
    }
  }
  // One that left the configuration and still has a pause is where a forgotten pause would hide.
  for (const [id, its] of byId) if (!seen.has(id)) seen.set(id, { id, enabled: false, states: its });
  return [...seen.values()];
}

function destinationOf({ workspace }: DestinationRoutesOptions, { params: { id = '' } }: AdminRequest) {
  const destination = workspace.current.destinationById(id);
  if (destination === undefined) {
    throw new AdminError(404, `expected the id of a destination of the workspace, got ${JSON.stringify(id)}`);
  }
  return destination;
}

async function readDrain(request: AdminRequest) {
  const body = await bodyOf(request, drainFields);
  const rule = {
    destinationId: textOf(body, 'destinationId'),
    sourceId: textOf(body, 'sourceId'),
    jobRunId: textOf(body, 'jobRunId'),
    jobId: jobIdOf(body),
    receivedBeforeMs: timeOf(body, 'receivedBefore'),
    reason: reasonOf(body),
  };
  if (rule.destinationId === '' && rule.sourceId === '' && rule.jobRunId === '' && rule.jobId === 0) {
    throw new AdminError(400, 'expected at least one of destinationId, sourceId, jobRunId and jobId, got none');
  }
  return rule;
}

async function bodyOf(request: AdminRequest, known: readonly string[]): Promise<Record<string, unknown>> {
  const body = await request.json();
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new AdminError(400, 'expected the body to be a JSON object');
  }
  for (const name of Object.keys(body)) {
    if (!known.includes(name)) throw new AdminError(400, `expected only ${known.join(', ')}, got ${name}`);
  }
  return { ...body };
}

function textOf(body: Record<string, unknown>, name: string): string {
  const value = body[name] ?? '';
  if (typeof value !== 'string') throw new AdminError(400, `expected ${name} to be a text, got ${typeof value}`);
  return value;
}

function jobIdOf({ jobId = 0 }: Record<string, unknown>): number {
  if (typeof jobId === 'number' && Number.isSafeInteger(jobId) && jobId >= 0) return jobId;
  throw new AdminError(400, `expected jobId to be the id of a job, got ${JSON.stringify(jobId)}`);
}

function reasonOf(body: Record<string, unknown>): string {
  return textOf(body, 'reason').slice(0, reasonCharactersMax) || 'by an operator';
}

function timeOf(body: Record<string, unknown>, name: string): number {
  const text = textOf(body, name);
  if (text === '') return 0;
  const atMs = Date.parse(text);
  if (!Number.isNaN(atMs) && /^\d{4}-\d\d-\d\d/.test(text)) return atMs;
  throw new AdminError(400, `expected ${name} to be a time like 2026-01-31T12:00:00Z, got ${JSON.stringify(text)}`);
}
