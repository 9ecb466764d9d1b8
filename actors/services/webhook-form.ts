// The form in which webhook requests are sent to the transformer, and that of its answers. Keys of a source are in
// PascalCase there, which is easily got wrong.

import type { ServiceAnswer } from './service-client.ts';
import type { WebhookOutcome, WebhookReply, WebhookRequest } from './webhook-sources.ts';
import type { SourceConfig } from './workspace.ts';

export function webhookInput(
  version: 'v1' | 'v2',
  source: SourceConfig,
  request: WebhookRequest,
  bodyText: string,
): unknown {
  const about = sourceForm(source);
  const query = listsOf(new URLSearchParams(request.query));
  if (version === 'v1') {
    return { event: bodyText === '' ? {} : JSON.parse(bodyText), source: about, query_parameters: query };
  }
  const { method, path, headers } = request;
  return {
    request: {
      method,
      url: request.query === '' ? path : `${path}?${request.query}`,
      proto: 'HTTP/1.1',
      body: bodyText,
      headers: listsOf(Object.entries(headers)),
      query_parameters: query,
    },
    source: about,
  };
}

/** One outcome for each of `count` requests, in their order. */
export function outcomesOf(answer: ServiceAnswer, count: number): WebhookOutcome[] {
  const all = (outcome: WebhookOutcome): WebhookOutcome[] => Array.from({ length: count }, () => outcome);
  // What it answers otherwise is about the request, whose sender it is told to.
  if (answer.status !== 200)
    return all(refused(answer.status >= 400 ? answer.status : 500, 'source transformer refused'));
  const items = parsed(answer.body);
  if (!Array.isArray(items) || items.length !== count) {
    return all(refused(500, 'invalid format of source transformer response'));
  }
  return items.map(outcomeOf);
}

function outcomeOf(item: unknown): WebhookOutcome {
  if (!isTable(item)) return refused(500, 'invalid format of source transformer response');
  const reply = replyOf(item.outputToSource);
  const { output, error, statusCode } = item;
  if (isTable(output)) {
    if (!Array.isArray(output.batch)) return refused(500, 'invalid output format in source transformer response');
    return { kind: 'events', body: Buffer.from(JSON.stringify({ batch: output.batch })), reply };
  }
  if (reply !== undefined) return { kind: 'answered', reply };
  if (typeof error !== 'string' && typeof statusCode !== 'number') {
    return refused(500, 'output not found in source transformer response');
  }
  const status = typeof statusCode === 'number' && statusCode >= 400 && statusCode < 600 ? statusCode : 400;
  return refused(status, typeof error === 'string' ? error : 'source transformer refused');
}

function replyOf(value: unknown): WebhookReply | undefined {
  if (!isTable(value) || typeof value.body !== 'string') return undefined;
  const contentType = typeof value.contentType === 'string' ? value.contentType : 'text/plain';
  return { body: Buffer.from(value.body, 'base64'), contentType };
}

function sourceForm(source: SourceConfig): unknown {
  const { id, name, category, type } = source.sourceDefinition;
  return {
    ID: source.id,
    OriginalID: source.originalId ?? '',
    Name: source.name,
    Config: source.config,
    Enabled: source.enabled,
    WorkspaceID: source.workspaceId,
    WriteKey: source.writeKey,
    SourceDefinition: { ID: id, Name: name, Category: category, Type: type },
  };
}

function listsOf(fields: Iterable<[string, string]>): Record<string, string[]> {
  const lists = new Map<string, string[]>();
  for (const [name, value] of fields) lists.set(name, [...(lists.get(name) ?? []), value]);
  return Object.fromEntries(lists);
}

function refused(status: number, text: string): WebhookOutcome {
  return { kind: 'refused', status, text };
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return undefined;
  }
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
