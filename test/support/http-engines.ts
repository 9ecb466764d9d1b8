// The HTTP engines that work on this machine: uWebSockets.js has binaries for some combinations of Node and libc only.

import { loadUws } from '../../transport/http-server-uws.ts';
import type { HttpEngine } from '../../transport/index.ts';

export const httpEngines: readonly HttpEngine[] = (await loadUws()).ok ? ['uws', 'node'] : ['node'];
