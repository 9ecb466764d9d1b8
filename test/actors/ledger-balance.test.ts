// The ledger's arithmetic: what is missing anywhere shows there, and nowhere else.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { balanceLedger, type LedgerCount, totalBalances } from '../../actors/storage/ledger-balance.ts';

const entry = (minute: number, destinationId: string, kind: LedgerCount['kind'], count: number): LedgerCount => ({
  minute,
  sourceId: 's',
  destinationId,
  kind,
  count,
});

const counts = [
  entry(1, '', 'accepted', 10),
  entry(2, '', 'accepted', 2),
  entry(1, '', 'processed', 7),
  entry(1, '', 'aborted', 1),
  entry(1, 'd', 'routed', 7),
  entry(1, 'd', 'delivered', 4),
  entry(1, 'd', 'filtered', 1),
];
const pending = [
  { minute: 1, sourceId: 's', destinationId: '', count: 2 },
  { minute: 2, sourceId: 's', destinationId: '', count: 2 },
  { minute: 1, sourceId: 's', destinationId: 'd', count: 2 },
];
const differences = (all: ReturnType<typeof balanceLedger>) =>
  all.map(({ minute, destinationId, difference }) => [minute, destinationId, difference]);

test('what came in is what went out and what waits', () => {
  assert.deepEqual(differences(balanceLedger(counts, pending)), [
    [undefined, '', 0],
    [undefined, 'd', 0],
  ]);
  assert.deepEqual(differences(balanceLedger(counts, pending, true)), [
    [1, '', 0],
    [1, 'd', 0],
    [2, '', 0],
  ]);
});

test('one event too few or too many shows at its source, its destination and its minute', () => {
  const lost = balanceLedger(counts, pending.slice(0, 2), true);
  assert.deepEqual(differences(lost), [
    [1, '', 0],
    [1, 'd', 2],
    [2, '', 0],
  ]);
  assert.equal(totalBalances(lost).destinations.difference, 2);
  assert.equal(totalBalances(lost).sources.difference, 0);
  assert.equal(balanceLedger([...counts, entry(1, '', 'processed', 1)], pending)[0]?.difference, -1);
});

test('a job that the ledger knows nothing of is a difference too', () => {
  const [stranger] = balanceLedger([], [{ minute: 1, sourceId: 'x', destinationId: 'y', count: 3 }]);
  assert.deepEqual([stranger?.sourceId, stranger?.destinationId, stranger?.difference], ['x', 'y', -3]);
});
