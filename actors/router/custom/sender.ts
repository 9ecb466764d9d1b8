// What a destination type implements that is delivered by something else than the request of its transform: a producer
// of its own protocol, or requests that have to be signed. A sender belongs to one destination and one version of its
// settings. It says how a message ended in the codes of every delivery, so that order, retries and breakers are the same.

import type { EgressGuard } from '../../../transport/index.ts';
import type { RequestDescriptor } from '../../job.ts';
import type { DestinationConfig } from '../../services/workspace.ts';
import type { DeliveryOutcome } from '../delivery.ts';

/** The body of a job: what the type's transform made of an event (destinations/custom-message.ts). */
export type CustomMessage = Readonly<Record<string, unknown>>;

export interface CustomContext {
  readonly guard: EgressGuard;
  readonly timeoutMs: number;
  nowMs(): number;
  /** A plain request by the router's own way; the answer's text is kept. */
  http(request: RequestDescriptor, body: Uint8Array): Promise<DeliveryOutcome>;
}

export interface CustomSender {
  /** Rejections count as 500. */
  send(message: CustomMessage): Promise<DeliveryOutcome>;
  close(): Promise<void>;
}

export interface CustomType {
  /** Name of the destination definition, upper case. */
  readonly name: string;
  /** Rejects when no client can be made of the settings, or nobody answers: it is tried again, and shown. */
  open(destination: DestinationConfig, context: CustomContext): Promise<CustomSender>;
}

/** Of an answer that is no HTTP answer. */
export function outcomeOf(code: number, response = ''): DeliveryOutcome {
  return { code, response, contentType: '', retryAfterMs: undefined };
}

export const succeeded = 200;
export const refused = 400;
export const throttled = 429;
/** Wrong settings or rights: nothing is wrong with the event, and people can mend it. */
export const misconfigured = 503;
export const unreachable = 504;
