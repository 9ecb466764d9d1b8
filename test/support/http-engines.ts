// The HTTP engines that work on this machine: uWebSockets.js has binaries for some combinations of Node and libc only.

import type { HttpEngine } from '../../transport/index.ts';
import { loadUws } from '../../transport/uws-module.ts';

export const httpEngines: readonly HttpEngine[] = (await loadUws()).ok ? ['uws', 'node'] : ['node'];
