// The admin API's routes as data: each part of the program brings its own, and this file finds the one a request
// means. Patterns are literal segments and `:name`, which stands for one whole segment.

import type { AdminRoute } from './contract.ts';

export interface RouteMatch {
  route: AdminRoute;
  params: Readonly<Record<string, string>>;
}

interface CompiledRoute {
  readonly route: AdminRoute;
  readonly segments: readonly string[];
}

export class AdminRoutes {
  readonly #routes: readonly CompiledRoute[];

  constructor(routes: readonly AdminRoute[]) {
    this.#routes = routes.map((route) => ({ route, segments: route.path.split('/') }));
  }

  /** Every path that may be asked for, for the answer to an unknown one. */
  get paths(): string[] {
    return this.#routes.map(({ route }) => `${route.method} ${route.path}`);
  }

  /** The route, or the methods that this path knows; none: the path is unknown. HEAD is answered like GET. */
  find(method: string, path: string): RouteMatch | { allowed: string[] } {
    const asked = method === 'HEAD' ? 'GET' : method;
    const segments = path.split('/');
    const allowed: string[] = [];
    for (const { route, segments: pattern } of this.#routes) {
      const params = matchSegments(pattern, segments);
      if (params === undefined) continue;
      if (route.method === asked) return { route, params };
      allowed.push(route.method);
    }
    return { allowed };
  }
}

function matchSegments(pattern: readonly string[], segments: readonly string[]): Record<string, string> | undefined {
  if (pattern.length !== segments.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, expected] of pattern.entries()) {
    const segment = segments[index] ?? '';
    if (expected.startsWith(':')) {
      const value = decodeSegment(segment);
      if (value === undefined || value === '') return undefined;
      params[expected.slice(1)] = value;
    } else if (segment !== expected) return undefined;
  }
  return params;
}

/** Undefined when the percent encoding is broken: such a path means nothing. */
function decodeSegment(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}
