// Signs deliveries by the Standard Webhooks specification (standardwebhooks.com), so that a receiver can tell ours from
// anybody's: HMAC-SHA256 over id, time and body, one signature for each secret. Two secrets at once are how one is
// replaced by another without a gap.

import { createHmac } from 'node:crypto';
import type { DestinationConfig } from '../services/workspace.ts';

const prefix = 'whsec_';

/** Keys of `config.webhookSecret`: one secret or a list, `whsec_` and base64, or any other text as it is. */
export function signingKeysOf(destination: DestinationConfig): Buffer[] {
  const { webhookSecret } = destination.config;
  const secrets: unknown[] = Array.isArray(webhookSecret) ? webhookSecret : [webhookSecret];
  return secrets.flatMap((secret) => {
    if (typeof secret !== 'string' || secret === '') return [];
    return [secret.startsWith(prefix) ? Buffer.from(secret.slice(prefix.length), 'base64') : Buffer.from(secret)];
  });
}

/** Header names and values in turn. `id` stays the same over all attempts, the time does not. */
export function signatureHeaders(keys: readonly Buffer[], id: string, nowMs: number, body: Uint8Array): string[] {
  const timestamp = String(Math.floor(nowMs / 1000));
  const signatures = keys.map((key) => {
    const hmac = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body);
    return `v1,${hmac.digest('base64')}`;
  });
  return ['webhook-id', id, 'webhook-timestamp', timestamp, 'webhook-signature', signatures.join(' ')];
}
