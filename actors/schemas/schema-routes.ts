// GET /event-schemas of the admin API: what the events of sources look like, page by page.

import { AdminError, type AdminRoute } from '../admin/contract.ts';
import type { EventSchemas, SchemaQuery } from './event-schemas.ts';
import { schemaJson } from './schema-forwarder.ts';

const pageMax = 100;
const pageDefault = 50;

export function schemaRoutes(schemas: EventSchemas): AdminRoute[] {
  return [
    {
      method: 'GET',
      path: '/event-schemas',
      doc: 'keys and types of events by source, type and name: ?sourceId= &writeKey= &workspaceId= &eventType= &limit= &after=<next of the page before>',
      handle: async ({ query }) => {
        const limit = Number(query.get('limit') ?? pageDefault);
        if (!Number.isInteger(limit) || limit < 1 || limit > pageMax) {
          throw new AdminError(400, `expected limit to be an integer from 1 to ${pageMax}`);
        }
        const found = await schemas.read({
          sourceId: query.get('sourceId') ?? '',
          writeKey: query.get('writeKey') ?? '',
          workspaceId: query.get('workspaceId') ?? '',
          eventType: query.get('eventType') ?? '',
          after: readAfter(query.get('after')),
          limit,
        });
        const last = found.length === limit ? found.at(-1) : undefined;
        const next = last === undefined ? {} : { next: afterOf([last.sourceId, last.eventType, last.eventName]) };
        return { status: 200, json: { schemas: found.map(schemaJson), ...next } };
      },
    },
  ];
}

function afterOf(key: SchemaQuery['after']): string {
  return Buffer.from(JSON.stringify(key)).toString('base64url');
}

function readAfter(text: string | null): SchemaQuery['after'] {
  if (text === null) return ['', '', ''];
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString());
    const [sourceId, eventType, eventName]: unknown[] = Array.isArray(value) ? value : [];
    if (typeof sourceId === 'string' && typeof eventType === 'string' && typeof eventName === 'string') {
      return [sourceId, eventType, eventName];
    }
  } catch {
    // Said below.
  }
  throw new AdminError(400, 'expected after to be the next of the page before');
}
