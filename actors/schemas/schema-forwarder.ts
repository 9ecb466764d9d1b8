// Sends schemas on as they change, to a sink behind one interface; here by HTTP. A schema is sent as it is at that moment,
// so one that was sent twice, or not at all while the sink was away, is right again with the next time.

import type { ServiceClient } from '../services/service-client.ts';
import type { EventSchemas } from './event-schemas.ts';
import type { EventSchema } from './schema-merge.ts';

export interface SchemaSink {
  /** Rejects when they were not taken. */
  send(schemas: readonly EventSchema[]): Promise<void>;
}

const batchMax = 50;

export async function forwardSchemas(schemas: EventSchemas, sink: SchemaSink): Promise<void> {
  for (;;) {
    const changed = await schemas.changed(batchMax);
    if (changed.length === 0) return;
    await sink.send(changed.map(({ schema }) => schema));
    await schemas.forwarded(changed);
  }
}

export function httpSchemaSink(client: Pick<ServiceClient, 'call'>, url: string, timeoutMs: number): SchemaSink {
  return {
    async send(schemas) {
      const body = Buffer.from(JSON.stringify({ schemas: schemas.map(schemaJson) }));
      const headers = { 'Content-Type': 'application/json' };
      const { status } = await client.call({ method: 'POST', url: new URL(url), headers, body, timeoutMs });
      if (status < 200 || status >= 300) throw new Error(`the sink of event schemas answered ${status}`);
    },
  };
}

const msPerMinute = 60_000;

/** As people and other programs get it. */
export function schemaJson(schema: EventSchema): Record<string, unknown> {
  const { firstMinute, lastMinute, sample, isCut, ...rest } = schema;
  return {
    ...rest,
    isCut,
    firstSeen: new Date(firstMinute * msPerMinute).toISOString(),
    lastSeen: new Date(lastMinute * msPerMinute).toISOString(),
    ...(sample === '' ? {} : { sample }),
  };
}
