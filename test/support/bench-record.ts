// A record of a benchmark with chosen figures, for tests of what is done with records.

import type { Figure } from '../../bench/harness/figures.ts';
import type { BenchRecord } from '../../bench/harness/scenario.ts';

export function recordWith(figures: readonly Figure[], more: Partial<BenchRecord> = {}): BenchRecord {
  return {
    scenario: 'example',
    measuredAt: '2026-01-01T00:00:00.000Z',
    settings: { node: 'v20', cores: 2 },
    figures,
    goals: [],
    checks: [],
    ...more,
  };
}
