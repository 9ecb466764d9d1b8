// A transformer that is really there: an HTTP server of ours that speaks the field's contract and has our own transforms
// behind it, so that the same cases can be run with and without HTTP between. It breaks the contract in every way a
// test asks for.

import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { completeRequest, type EventObject } from '../../actors/destinations/destination.ts';
import { compileDestination } from '../../actors/destinations/registry.ts';
import { restOutputOf } from '../../actors/transformer/rest-output.ts';
import type { Cleanup } from './cleanup.ts';
import { makeDestination } from './workspace-objects.ts';

type Table = Record<string, unknown>;

/** How the next answers are wrong. */
export type TransformerFault =
  | { kind: 'status'; status: number; headers?: Record<string, string> }
  | { kind: 'hang' | 'wrong version' | 'truncated' | 'no json' | 'too few' | 'unknown job' | 'duplicate' | 'huge' };

export interface TransformerRequest {
  path: string;
  headers: IncomingHttpHeaders;
  body: unknown;
}

/** What it makes of one event; default: what the embedded transform of the type makes. */
export type TransformRule = (item: { message: EventObject; metadata: Table; destination: Table }) => Table[];

export class TestTransformer {
  readonly requests: TransformerRequest[] = [];
  features: Table = { upgradedToSourceTransformV2: true };
  /** Asked for each request; undefined: the answer is right. */
  fault: (request: TransformerRequest) => TransformerFault | undefined = () => undefined;
  rule: TransformRule = embeddedRule;
  /** What a proxied destination answers for each job. */
  proxied: (metadata: Table) => { statusCode: number; error: string } = () => ({ statusCode: 200, error: 'ok' });
  /** `/customTransform`: all of its answer. */
  custom: (items: readonly Table[]) => Table[] | Promise<Table[]> = () => [];
  /** `/v2/sources/…/hydrate`: what becomes of one event. */
  hydrate: (event: EventObject) => { statusCode: number; event?: EventObject } = (event) => ({
    statusCode: 200,
    event,
  });
  readonly #server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const text = Buffer.concat(chunks).toString();
      const body: unknown = text === '' ? undefined : JSON.parse(text);
      const request = { path: incoming.url ?? '', headers: incoming.headers, body };
      this.requests.push(request);
      this.#answer(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
    });
  });

  static async start(cleanup: Cleanup, port = 0): Promise<TestTransformer> {
    const transformer = new TestTransformer();
    transformer.#server.listen(port, '127.0.0.1');
    await once(transformer.#server, 'listening');
    cleanup.after(() => transformer.stop());
    return transformer;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  /** Requests but for those about features. */
  asked(): TransformerRequest[] {
    return this.requests.filter(({ path }) => path !== '/features');
  }

  async #answer(request: TransformerRequest, response: ServerResponse): Promise<void> {
    const fault = this.fault(request);
    if (fault?.kind === 'hang') return;
    if (fault?.kind === 'status') {
      response.writeHead(fault.status, fault.headers).end('no luck');
      return;
    }
    if (request.path === '/features') {
      response.end(JSON.stringify(this.features));
      return;
    }
    const answer = await this.#contentOf(request);
    const text = fault?.kind === 'no json' ? '<html>' : JSON.stringify(brokenBy(fault, answer));
    response.setHeader('apiVersion', fault?.kind === 'wrong version' ? '1' : '2');
    if (fault?.kind !== 'truncated') {
      response.end(text);
      return;
    }
    response.setHeader('content-length', Buffer.byteLength(text));
    response.write(text.slice(0, text.length / 2), () => response.destroy());
  }

  async #contentOf({ path, headers, body }: TransformerRequest): Promise<unknown> {
    if (path.endsWith('/hydrate')) {
      const { batch } = body as { batch: { id: unknown; event: EventObject }[] };
      return { batch: batch.map(({ id, event }) => ({ id, ...this.hydrate(event) })) };
    }
    if (path === '/customTransform') return this.custom(body as Table[]);
    if (path.endsWith('/proxy')) return this.#proxy(body as Table);
    const items = itemsOf(body, headers['x-content-format'] === 'json+compactedv1');
    if (path.startsWith('/v0/destinations/')) {
      return items.flatMap(({ metadata, ...item }) =>
        this.rule({ metadata, ...item }).map((made) => ({ ...made, metadata })),
      );
    }
    if (path === '/batch') return items.map(({ message, metadata }) => routerItem(message, [metadata]));
    return { output: this.#routerItems(items) };
  }

  /** Events of one name share their request, as a destination with a batch call has it. */
  #routerItems(items: readonly WireItem[]): Table[] {
    const byName = new Map<unknown, WireItem[]>();
    for (const item of items) byName.set(item.message.event, [...(byName.get(item.message.event) ?? []), item]);
    return [...byName.values()].flatMap((group) => {
      const [first] = group;
      const made = first === undefined ? [] : this.rule(first);
      const metadata = group.map((item) => item.metadata);
      const [only] = made;
      if (only !== undefined && only.statusCode !== 200) return [{ ...only, metadata }];
      return [
        routerItem(
          made.map(({ output }) => output),
          metadata,
        ),
      ];
    });
  }

  #proxy({ metadata }: Table): Table {
    const response = (Array.isArray(metadata) ? metadata : [metadata]).map((one: Table) => ({
      ...this.proxied(one),
      metadata: one,
    }));
    return { output: { status: 200, message: 'done', response } };
  }
}

interface WireItem {
  message: EventObject;
  metadata: Table;
  destination: Table;
}

function itemsOf(body: unknown, isCompacted: boolean): WireItem[] {
  const table = body as { input?: WireItem[]; destinations?: Record<string, Table> };
  const items = Array.isArray(body) ? (body as WireItem[]) : (table.input ?? []);
  if (!isCompacted) return items;
  return items.map((item) => ({
    ...item,
    destination: table.destinations?.[String(item.metadata.destinationId)] ?? {},
  }));
}

function routerItem(batchedRequest: unknown, metadata: readonly Table[]): Table {
  return { batchedRequest, metadata, batched: metadata.length > 1, statusCode: 200, destination: {} };
}

/** The embedded transform of the type that the destination on the wire names. */
export function embeddedRule({ message, metadata, destination }: Parameters<TransformRule>[0]): Table[] {
  const { Name } = destination.DestinationDefinition as { Name: string };
  const compiled = compileDestination(
    makeDestination(String(destination.ID), {
      config: destination.Config as Table,
      destinationDefinition: { id: 'dd', name: Name, displayName: Name, config: {} },
    }),
  );
  const about = {
    sourceId: String(metadata.sourceId),
    destinationId: String(metadata.destinationId),
    messageId: String(metadata.messageId),
    receivedAtMs: Date.parse(String(metadata.receivedAt)),
  };
  const result = compiled.transform(message, about);
  if (result.kind === 'filtered') return [{ statusCode: 298, error: result.reason }];
  if (result.kind === 'aborted') return [{ statusCode: result.code, error: result.reason }];
  const body = result.body === 'event' ? Buffer.from(JSON.stringify(message)) : result.body;
  const made = restOutputOf(completeRequest(JSON.parse(result.request)), body);
  return [{ statusCode: 200, output: made?.output }];
}

function brokenBy(fault: TransformerFault | undefined, answer: unknown): unknown {
  const items = Array.isArray(answer) ? answer : undefined;
  const rows: unknown[] = items ?? ((answer as { output?: unknown[] }).output as unknown[]);
  const give = (changed: unknown[]): unknown => (items === undefined ? { output: changed } : changed);
  switch (fault?.kind) {
    case 'too few':
      return give(rows.slice(1));
    case 'duplicate':
      return give([...rows.slice(1), ...rows.slice(-1), ...rows.slice(-1)]);
    case 'unknown job':
      return give(rows.map((row) => replaceIds(row as Table)));
    case 'huge':
      return give([...rows, 'x'.repeat(2 * 1024 * 1024)]);
    default:
      return answer;
  }
}

function replaceIds(row: Table): Table {
  const metadata = Array.isArray(row.metadata) ? [{ jobId: 4711 }] : { jobId: 4711 };
  return { ...row, metadata };
}
