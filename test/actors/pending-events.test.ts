// What waits, from the ledger alone: exactly what came in and did not go out, in a bounded number of series.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { pendingEvents, pendingMetric } from '../../actors/pending-events.ts';
import { WorkspaceIndex } from '../../actors/services/workspace.ts';
import type { LedgerKind, StorageStats } from '../../actors/storage/contract.ts';
import { makeDestination, makeSnapshot, makeSource } from '../support/workspace-objects.ts';

const workspace = new WorkspaceIndex(
  makeSnapshot([makeSource('a', [makeDestination('d')]), makeSource('b', [makeDestination('d')])]),
);

function entry(sourceId: string, destinationId: string, kind: LedgerKind, count: number) {
  return { sourceId, destinationId, kind, count };
}

test('what waits is what came in less what went out, by source before the processor and by destination behind it', () => {
  const ledger: StorageStats['ledger'] = [
    entry('a', '', 'accepted', 10),
    entry('a', '', 'processed', 6),
    entry('a', '', 'deduplicated', 1),
    entry('a', '', 'aborted', 1),
    entry('b', '', 'accepted', 5),
    entry('b', '', 'processed', 5),
    entry('a', 'd', 'routed', 6),
    entry('b', 'd', 'routed', 5),
    entry('a', 'd', 'delivered', 2),
    entry('b', 'd', 'filtered', 1),
  ];
  const at = { workspaceId: 'ws-1' };
  assert.deepEqual(pendingEvents(ledger, workspace), [
    { ...at, stage: 'router', sourceId: '', destinationId: 'd', destinationType: 'WEBHOOK', pending: 8 },
    { ...at, stage: 'processor', sourceId: 'a', destinationId: '', destinationType: '', pending: 2 },
  ]);
});

test('however many destinations there are, the series are few and their sum is exact', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 1_000 }), { maxLength: 400 }), (counts) => {
      const ledger = counts.map((count, index) => entry('a', `d${index}`, 'routed', count));
      const metric = pendingMetric(pendingEvents(ledger, workspace));
      assert(metric.kind === 'gauge');
      assert.ok(metric.series.length <= 101);
      const sum = metric.series.reduce((all, { value }) => all + value, 0);
      assert.equal(
        sum,
        counts.reduce((all, count) => all + count, 0),
      );
    }),
  );
});
