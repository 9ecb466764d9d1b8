// What is asked of a control plane about the configuration, and what its answers may be (spec: control-plane config).
// Knows URLs, credentials and statuses; what the configuration says is workspace-set.ts' business.

import { basicCredentials, type ServiceAnswer, type ServiceClient, ServiceError } from './service-client.ts';

export interface ControlPlaneOptions {
  url: string;
  token: string;
  /** '': one workspace, the one of the token. */
  namespace: string;
  timeoutMs: number;
}

export type FetchedConfig = { kind: 'unchanged' } | { kind: 'config'; body: Buffer; etag: string };

export const controlPlaneName = 'the control plane';

export class ControlPlane {
  readonly #options: ControlPlaneOptions;
  readonly #client: ServiceClient;

  constructor(options: ControlPlaneOptions, client: ServiceClient) {
    this.#options = options;
    this.#client = client;
  }

  get isNamespace(): boolean {
    return this.#options.namespace !== '';
  }

  /** Where the configuration comes from, without secrets: for status, and to tell copies of it apart. */
  get place(): string {
    const { origin, pathname } = this.#configUrl('');
    return `${origin}${pathname}`;
  }

  /** Rejects with ServiceError. `updatedAfter` '' asks for everything. */
  async fetchConfig(updatedAfter: string, etag: string): Promise<FetchedConfig> {
    const { token, timeoutMs } = this.#options;
    const headers: Record<string, string> = { Authorization: basicCredentials(token), Accept: 'application/json' };
    if (etag !== '') headers['If-None-Match'] = etag;
    const answer = await this.#client.call({ url: this.#configUrl(updatedAfter), headers, timeoutMs });
    if (answer.status === 304 && etag !== '') return { kind: 'unchanged' };
    expectSuccess(answer);
    return { kind: 'config', body: answer.body, etag: answer.header('etag') };
  }

  /** The events of a plan with their rules, as JSON. Rejects with ServiceError. */
  async fetchTrackingPlan(workspaceId: string, planId: string, version: string): Promise<Buffer> {
    const { url, token, timeoutMs } = this.#options;
    const base = url.replace(/\/+$/, '');
    const path = `workspaces/${encodeURIComponent(workspaceId)}/tracking-plans/${encodeURIComponent(planId)}`;
    const target = new URL(`${base}/${path}`);
    if (version !== '') target.searchParams.set('version', version);
    const headers = { Authorization: basicCredentials(token), Accept: 'application/json' };
    const answer = await this.#client.call({ url: target, headers, timeoutMs });
    expectSuccess(answer);
    return answer.body;
  }

  #configUrl(updatedAfter: string): URL {
    const { url, namespace } = this.#options;
    const base = url.replace(/\/+$/, '');
    if (namespace === '') return new URL(`${base}/workspaceConfig?fetchAll=true`);
    const target = new URL(`${base}/data-plane/v1/namespaces/${encodeURIComponent(namespace)}/config`);
    if (updatedAfter !== '') target.searchParams.set('updatedAfter', updatedAfter);
    return target;
  }
}

/** Throws ServiceError REFUSED for every status but 2xx. */
export function expectSuccess({ status }: ServiceAnswer): void {
  if (status >= 200 && status < 300) return;
  const text =
    status === 401 || status === 403
      ? `${controlPlaneName} refused the token (${status})`
      : `expected of ${controlPlaneName} status 200, got ${status}`;
  throw new ServiceError('REFUSED', text, status);
}
