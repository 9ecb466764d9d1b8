// The admin API of suppressions: who is suppressed, and suppressing or releasing users without a control plane, one by
// one or a whole file of user ids at once.

import { type AdminAnswer, AdminError, type AdminRequest, type AdminRoute } from '../admin/contract.ts';
import type { SuppressedUsers } from './suppressed-users.ts';
import type { Suppression, SuppressionStore } from './suppression-store.ts';

/** A file of user ids, some hundred thousand of them. */
const importBytesMax = 32 * 1024 * 1024;
const listedMax = 1_000;
const listedDefault = 100;

export function suppressionRoutes(users: SuppressedUsers, nowMs: () => number): AdminRoute[] {
  const open = (): SuppressionStore => {
    if (users.store === undefined) throw new AdminError(503, 'the store of suppressions is not open; try again later');
    return users.store;
  };
  return [
    {
      method: 'GET',
      path: '/suppressions',
      doc: 'Suppressed users: one by ?workspaceId=&userId=, or all by ?after=&limit=',
      handle: (request) => list(open(), request),
    },
    {
      method: 'POST',
      path: '/suppressions',
      doc: 'Suppress users of ?workspaceId= (and ?sourceId=): {"userIds": […]}, or plain text with a user id in each line',
      handle: (request) => change(open(), request, false, nowMs()),
    },
    {
      method: 'DELETE',
      path: '/suppressions',
      doc: 'Release users again: ?workspaceId=&userId= (and ?sourceId=), or a body as for POST',
      handle: (request) => change(open(), request, true, nowMs()),
    },
  ];
}

function list(store: SuppressionStore, { query }: AdminRequest): AdminAnswer {
  const workspaceId = query.get('workspaceId');
  const userId = query.get('userId');
  if (workspaceId !== null && userId !== null) {
    const user = store.find(workspaceId, userId);
    return { status: 200, json: { users: user === undefined ? [] : [user], next: '' } };
  }
  const after = query.get('after') ?? '';
  if (!/^([0-9a-f]{64})?$/.test(after))
    throw new AdminError(400, 'expected after to be the `next` of an earlier answer');
  const limit = Number(query.get('limit') ?? listedDefault);
  if (!Number.isInteger(limit) || limit < 1 || limit > listedMax) {
    throw new AdminError(400, `expected limit to be an integer from 1 to ${listedMax}, got ${query.get('limit')}`);
  }
  return { status: 200, json: { ...store.list(after, limit), total: store.count() } };
}

async function change(
  store: SuppressionStore,
  request: AdminRequest,
  canceled: boolean,
  createdAtMs: number,
): Promise<AdminAnswer> {
  const { query } = request;
  const workspaceId = query.get('workspaceId') ?? '';
  if (workspaceId === '') throw new AdminError(400, 'expected ?workspaceId= to name a workspace, got nothing');
  const single = query.get('userId');
  const userIds = single === null ? userIdsIn(await request.body(importBytesMax)) : [single];
  if (userIds.length === 0) throw new AdminError(400, 'expected at least one user id, got none');
  const sourceIds = query.getAll('sourceId');
  const changes = userIds.map((userId): Suppression => ({ workspaceId, userId, sourceIds, canceled, createdAtMs }));
  await store.apply(changes);
  return { status: 200, json: canceled ? { released: userIds.length } : { suppressed: userIds.length } };
}

/** JSON `{"userIds": […]}`, or lines; trimmed like the ids of events. */
function userIdsIn(body: Buffer): string[] {
  const text = body.toString();
  const ids = /^\s*\{/.test(text) ? idsOfJson(text) : text.split('\n');
  return ids.map((id) => id.trim()).filter((id) => id !== '');
}

function idsOfJson(text: string): string[] {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    throw new AdminError(400, 'expected valid JSON');
  }
  const ids = typeof content === 'object' && content !== null && 'userIds' in content ? content.userIds : undefined;
  if (Array.isArray(ids) && ids.every((id): id is string => typeof id === 'string')) return ids;
  throw new AdminError(400, 'expected userIds to be a list of texts');
}
