// What the crash matrix leaves out, each with the reason why that is right: files of actors/storage without points, and
// points that no run reaches, by the beginning of their names. Everything else must be reached, or the matrix fails.

const embedded = 'light processes use the PostgreSQL of the matrix; `runCrashesAt` kills the program that has its own';
const afterError = 'only after an error of Postgres in a transaction that the error has ended already';
const failedStart = 'only after a start that failed for another reason; storage-start.test.ts goes there';
const wayBack = 'part of `sluice migrate --to`, a command of its own that runs while no Sluice does';
const otherModes =
  'only in a start with other lanes or partitions than before, and in one transaction with what it decides';
const others =
  'only among several processes, or while Postgres still holds a dead one to be there: two-processes.test.ts, inbox.test.ts';
const kept = 'only for rows that Postgres refuses, which the writer of an inbox does not let in';
const reconnected =
  'only when the writer has lost its connection since the round began; storage-model.test.ts goes there';
const tooLong = 'only for ids that are longer than an index takes; storage-datasets.test.ts goes there';
const unexplained = 'only after errors of Postgres that say nothing; storage-faults.test.ts goes there';
const silent = 'only when Postgres has not noticed the end of a connection; storage-faults.test.ts goes there';
const pause = 'a pause until Postgres has noticed the end of the last process; nothing happens in it';

/** By file, below `actors/`. */
export const moduleReasons: Readonly<Record<string, string>> = {
  'storage/contract': 'types and constants',
  'storage/dead-letters': 'reads what was given up, and writes nothing',
  'storage/job-lookup': 'reads where a job is, and writes nothing',
  'storage/ledger-check': 'reads and compares; what it finds is told, not written',
  'storage/ledger-snapshot': 'reads in one transaction for a report',
};

export const unreachedReasons: Readonly<Record<string, string>> = {
  'database:openDatabase/startEmbedded': embedded,
  'database:startEmbedded/': embedded,
  'database:openDatabase/stop': embedded,
  'database:openDatabase/close#2': failedStart,
  'database:agreeOnModes/Promise': pause,
  'gateway/store-batcher:#commitPieces/':
    'only for events whose text Postgres refuses, which the gateway does not let through',
  'processor/processor:stop/commitAndWait':
    'needs a third batch at the moment of the stop: processor-actor.test.ts has it',
  'storage/inbox-import:#replay/transaction': kept,
  'storage/inbox-import:#replay/withSession': kept,
  'storage/inbox-import:transaction/query(rollback)': afterError,
  'storage/inbox-writer:#inbox/close': failedStart,
  'storage/inbox-writer:close/Promise': 'only when a group is written in the moment of the close, which waits for it',
  'storage/lane:#takesOthers/': unexplained,
  'storage/lane:#write/#takesOthers': unexplained,
  'storage/lease-session:open/close': failedStart,
  'storage/lease-session:tell/': 'asks another process for a lane, and is asked again when it is lost',
  'storage/maintenance:#withSession/#closeSession':
    'only when the stop or a lost connection comes between two statements',
  'storage/lane:#connection/close':
    'only when the lane is given up while it connects anew; storage-model.test.ts goes there',
  'storage/maintenance:#runStep/between': reconnected,
  'storage/maintenance:#runStep/run#2': reconnected,
  'storage/migrate:checkWayBack/': wayBack,
  'storage/migrate:inTransaction/query(rollback)': afterError,
  'storage/migrate:migrationStates/': 'part of `sluice migrate --status`, which only reads',
  'storage/migrate:moveTo/checkWayBack': wayBack,
  'storage/migrate:moveTo/revert': wayBack,
  'storage/migrate:revert/': wayBack,
  'storage/modes:decide/dropLanes': otherModes,
  'storage/modes:decide/isInUse': otherModes,
  'storage/modes:decide/pendingJobs': otherModes,
  'storage/modes:dropLanes/': otherModes,
  'storage/modes:foldInto/': otherModes,
  'storage/modes:pendingJobs/': otherModes,
  'storage/modes:settleModes/query(rollback)': otherModes,
  'storage/modes:storedForOwners/': otherModes,
  'storage/ownership:isInUse/': wayBack,
  'storage/ownership:takeLane/query(rollback)': afterError,
  'storage/ownership:connectLane/close': failedStart,
  'storage/owned-lane:maintain/': 'a round asked for by a command; the rounds of maintenance themselves are here',
  'storage/owned-lane:take/close': failedStart,
  'storage/ownership:checkEpoch/': others,
  'storage/ownership:endFormerSession/': silent,
  'storage/ownership:takeLane/checkEpoch': others,
  'storage/ownership:takeLane/endFormerSession': silent,
  'storage/queues:readLanes/': 'for the status and the metrics, which only read',
  'storage/residues:moveResidue/query': 'what a move that failed leaves behind, and only when its connection lives',
  'storage/sealing:build/query#2': tooLong,
  'storage/sealing:build/query#3': tooLong,
  'storage/storage-actor:stop/#taking': failedStart,
  'storage/lane-upkeep:startLedgerCheck/': 'reads the ledger to compare it, once in a long while',
};
