// Events from the query of an image, for mails and pages without scripts. The image is answered whatever becomes of the
// event: whoever shows it can do nothing about it.

/** A transparent GIF of one pixel, the very bytes of the field. */
export const pixelGif: Uint8Array = Buffer.from(
  '4749463839610100010080000000000000000021f90401000000002c00000000010001000002024401003b',
  'hex',
);

const pathDepthMax = 32;

/** Undefined when the query holds no event that is worth keeping. */
export function pixelEvent(query: string, type: string, nowMs: number): Buffer | undefined {
  const now = new Date(nowMs).toISOString();
  const event = table();
  event.channel = 'web';
  event.integrations = { All: true };
  event.originalTimestamp = now;
  event.sentAt = now;
  for (const [name, value] of new URLSearchParams(query)) {
    // A secret of the source, which none of its destinations needs.
    if (name !== 'writeKey') setPath(event, pathOf(name), value);
  }
  event.type = type;
  // Some templates put the id into quotes of its own.
  if (typeof event.anonymousId === 'string') event.anonymousId = event.anonymousId.replace(/^"(.*)"$/, '$1');
  if (type === 'page' && (event.name ?? '') === '') event.name = 'Unknown Page';
  if (type === 'track' && (event.event ?? '') === '') return undefined;
  return Buffer.from(JSON.stringify(event));
}

/** What is deeper than any event is a name with dots. */
function pathOf(name: string): string[] {
  const path = name.split('.');
  return path.length > pathDepthMax ? [name] : path;
}

type Table = Record<string, unknown>;

/** Without a prototype, so that a parameter called __proto__ is one like any other. */
function table(): Table {
  return Object.create(null) as Table;
}

/** `properties.total` is the total of the properties: an image has no other way to say it. */
function setPath(event: Table, path: readonly string[], value: string): void {
  let at = event;
  for (const name of path.slice(0, -1)) {
    const next = at[name];
    const inner = isTable(next) ? next : table();
    at[name] = inner;
    at = inner;
  }
  at[path.at(-1) ?? ''] = value;
}

function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null;
}
