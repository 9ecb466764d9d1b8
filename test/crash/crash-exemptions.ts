// Crash points that no run of the matrix reaches, each with the reason why that is right. By the beginning of a point's
// name. Everything else must be reached, or the matrix fails.

const embedded = 'light processes use the PostgreSQL of the matrix; crash-whole.ts kills the program that has its own';
const afterError = 'only after an error of Postgres in a transaction that the error has ended already';
const failedStart = 'only after a start that failed for another reason; storage-start.test.ts goes there';
const wayBack = 'part of `sluice migrate --to`, a command of its own that runs while no Sluice does';
const oneLane = 'only for lanes beside the first';

export const unreachedReasons: Readonly<Record<string, string>> = {
  'database:openDatabase/startEmbedded': embedded,
  'database:startEmbedded/': embedded,
  'database:openDatabase/stop': embedded,
  'database:openDatabase/close#2': failedStart,
  'database:awaitLane/Promise': 'a pause until Postgres has noticed the end of the last process; nothing happens in it',
  'processor/processor:stop/commitAndWait':
    'needs a third batch at the moment of the stop: processor-actor.test.ts has it',
  'storage/migrate:checkWayBack/': wayBack,
  'storage/migrate:inTransaction/query(rollback)': afterError,
  'storage/migrate:migrationStates/': 'part of `sluice migrate --status`, which only reads',
  'storage/migrate:moveTo/checkWayBack': wayBack,
  'storage/migrate:moveTo/revert': wayBack,
  'storage/migrate:revert/': wayBack,
  'storage/ownership:isAnyLaneHeld/': wayBack,
  'storage/ownership:takeLane/query(rollback)': afterError,
  'storage/queues:createFirstLedger/': oneLane,
  'storage/queues:loadDatasets/createFirstLedger': oneLane,
  'storage/storage-actor:#connect/close': failedStart,
  'storage/storage-actor:start/close': failedStart,
};
