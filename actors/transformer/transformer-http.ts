// Asks of the remote transformer over HTTP, with the field's rules about statuses (spec/transformer-and-clients.md 1.2):
// what says that the service is away or busy is asked again a few times, what says something about the chunk is an
// answer. Nothing here throws; whoever asks decides what a failure means for its jobs.
//
// An ask: sent → answered, or sent again after a growing pause → … → answered, or given up when its time is over.

import type { Clock } from '../../runtime/index.ts';
import type { HttpClient, OutboundOutcome } from '../../transport/index.ts';

export interface TransformerAsk {
  url: URL;
  headers?: readonly string[];
  body: Uint8Array;
  /** Asks with the same key share connections, and with nobody else's. */
  poolKey: string;
  /** Longest time for all of it, repetitions included. */
  timeoutMs: number;
  /** It is passed on to a destination: never repeated, and a status may be the destination's. */
  isDelivery?: boolean;
}

export type TransformerAnswer =
  /** Of the transformer itself (apiVersion 2). */
  | { kind: 'answered'; body: Buffer }
  /** A status that is final for the chunk. */
  | { kind: 'refused'; status: number; text: string }
  /** It gave up on the chunk (5xx): its fault or that of an event, nobody can tell. */
  | { kind: 'failed'; status: number; reason: string }
  /** It is not there, not ready, or not what is expected; that says nothing about the chunk. */
  | { kind: 'away'; reason: string };

export interface TransformerHttpParts {
  http: HttpClient;
  clock: Clock;
  /** Uniform in [0, 1). */
  random(): number;
}

const retriesMax = 3;
const retryMsMin = 100;
const retryMsMax = 5_000;
const textCharactersMax = 2_000;
/** Of a transformer whose own control plane is away (spec/transformer-and-clients.md 1.3). */
const controlPlaneAway = 809;
const commonHeaders = [
  'Content-Type',
  'application/json; charset=utf-8',
  'X-Feature-Filter-Code',
  '?1',
  'X-Feature-Gzip-Support',
  '?1',
];

export async function askTransformer(ask: TransformerAsk, parts: TransformerHttpParts): Promise<TransformerAnswer> {
  const { clock } = parts;
  const endMs = clock.monotonicMs() + ask.timeoutMs;
  for (let retries = 0; ; retries += 1) {
    const answer = await askOnce(ask, Math.max(1, endMs - clock.monotonicMs()), parts.http);
    const isFinal = answer.kind === 'answered' || answer.kind === 'refused' || ask.isDelivery === true;
    if (isFinal || retries >= retriesMax) return answer;
    const pauseMs = Math.min(retryMsMax, retryMsMin * 4 ** retries) * (0.5 + 0.5 * parts.random());
    if (clock.monotonicMs() + pauseMs >= endMs) return answer;
    await new Promise<void>((settle) => void clock.setTimer(pauseMs, settle));
  }
}

async function askOnce(ask: TransformerAsk, timeoutMs: number, http: HttpClient): Promise<TransformerAnswer> {
  const outcome = await new Promise<OutboundOutcome>((settle) => {
    const { url, poolKey, body, headers = [] } = ask;
    http.send(
      {
        poolKey,
        origin: url.origin,
        path: `${url.pathname}${url.search}`,
        method: 'POST',
        headers: [...commonHeaders, ...headers],
        body,
        timeoutMs,
      },
      settle,
    );
  });
  if (!outcome.ok) {
    const { code } = outcome.error;
    const reason =
      code === 'HTTP_TIMEOUT'
        ? `the transformer did not answer within ${ask.timeoutMs} ms`
        : code === 'HTTP_CONNECT_FAILED'
          ? 'the transformer cannot be connected to'
          : `the connection to the transformer was lost (${code})`;
    return { kind: 'away', reason };
  }
  const isDestinations = ask.isDelivery === true && outcome.response.headers.apiversion !== undefined;
  return judge(outcome.response, isDestinations);
}

/** `isDestinations`: any status but 200 was passed on from the destination. */
function judge(
  { status, body, headers, truncated }: Extract<OutboundOutcome, { ok: true }>['response'],
  isDestinations: boolean,
): TransformerAnswer {
  const text = body.toString('utf8', 0, textCharactersMax);
  if (status === 200) {
    if (headers.apiversion !== '2') {
      const reason = `expected the transformer to answer with apiVersion 2, got ${headers.apiversion ?? 'none'}`;
      return { kind: 'away', reason };
    }
    if (truncated) {
      const reason = `expected a whole answer of the transformer, got ${body.byteLength} bytes of one`;
      return { kind: 'failed', status, reason };
    }
    return { kind: 'answered', body };
  }
  const isAway = status === 408 || status === 429 || status === 503 || status === controlPlaneAway;
  const reason = `expected of the transformer status 200, got ${status}`;
  if (isAway && !isDestinations) return { kind: 'away', reason };
  if (status >= 500 || status < 200) return { kind: 'failed', status, reason };
  return { kind: 'refused', status, text };
}
