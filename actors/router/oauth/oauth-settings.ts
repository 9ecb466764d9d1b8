// Which destinations need a token, and where it comes from: an OAuth 2 server the destination's settings name, or the
// account a control plane keeps (spec/delivery.md 1.12).

import type { DestinationConfig } from '../../services/workspace.ts';
import { recordOf, textOf } from '../config-values.ts';

/** `config.oauth`: { "tokenUrl", "clientId", "clientSecret", "refreshToken", "scope", "audience" }. */
export interface DirectAccount {
  kind: 'direct';
  tokenUrl: string;
  clientId: string;
  clientSecret: string;
  /** '': the client stands for itself (client credentials). */
  refreshToken: string;
  /** More of the token request. */
  parameters: Record<string, string>;
}

export interface ControlPlaneAccount {
  kind: 'controlPlane';
  workspaceId: string;
  accountId: string;
}

export type OauthAccount = DirectAccount | ControlPlaneAccount;

/** Undefined: it needs no token. A text: it does, and its settings are wrong. */
export function oauthAccountOf(destination: DestinationConfig): OauthAccount | string | undefined {
  const { config, destinationDefinition, workspaceId } = destination;
  if (config.oauth !== undefined && config.oauth !== null) return directAccount(recordOf(config.oauth));
  const { type, rudderScopes } = recordOf(destinationDefinition.config.auth);
  if (type !== 'OAuth') return undefined;
  if (Array.isArray(rudderScopes) && !rudderScopes.includes('delivery')) return undefined;
  const accountId = textOf(config.rudderAccountId, textOf(recordOf(config.deliveryAccount).id));
  return accountId === '' ? 'expected rudderAccountId' : { kind: 'controlPlane', workspaceId, accountId };
}

function directAccount(oauth: Record<string, unknown>): DirectAccount | string {
  const tokenUrl = textOf(oauth.tokenUrl);
  const clientId = textOf(oauth.clientId);
  if (!URL.canParse(tokenUrl) || !/^https?:/.test(tokenUrl)) return 'expected oauth.tokenUrl to be a URL';
  if (clientId === '') return 'expected oauth.clientId';
  const parameters: Record<string, string> = {};
  for (const name of ['scope', 'audience', 'resource']) {
    const value = textOf(oauth[name]);
    if (value !== '') parameters[name] = value;
  }
  const { clientSecret, refreshToken } = oauth;
  return {
    kind: 'direct',
    tokenUrl,
    clientId,
    clientSecret: textOf(clientSecret),
    refreshToken: textOf(refreshToken),
    parameters,
  };
}
