// The HTTP listener of the gateway behind one small interface, because the fast engine (uWebSockets.js) is a native
// add-on that does not load everywhere: node:http stands in with the same behaviour, proven by the same tests.

import type { HttpListenOptions, HttpServer } from './http-server-contract.ts';
import { listenNode } from './http-server-node.ts';
import { listenUws } from './http-server-uws.ts';
import { loadUws } from './uws-module.ts';

export type * from './http-server-contract.ts';

/** Rejects with TransportError: PORT_IN_USE, LISTEN_FAILED, or HTTP_ENGINE_UNAVAILABLE when the engine asked for does not load. */
export async function listenHttp(options: HttpListenOptions): Promise<HttpServer> {
  if (options.engine === 'node') return await listenNode(options, '');
  const loaded = await loadUws();
  if (loaded.ok) return await listenUws(loaded.uws, options);
  if (options.engine === 'uws') throw loaded.error;
  return await listenNode(options, loaded.error.message);
}

/** Why the fast engine cannot serve here; '' when it can. */
export async function fastEngineProblem(): Promise<string> {
  const loaded = await loadUws();
  return loaded.ok ? '' : loaded.error.message;
}
