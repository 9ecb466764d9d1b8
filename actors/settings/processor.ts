// Settings of the processor: its partition key and how much one partition holds.

import { choice, integer, text } from '../../runtime/index.ts';

export const processorSettings = {
  isolation: choice(['none', 'workspace', 'source'], {
    default: 'source',
    doc: 'Partition key of the processor. A start with another value is refused while jobs are pending: order per user is kept within a partition',
  }),
  shards: text({
    default: '',
    doc: 'Splits partitions too busy for one thread: source-1=4 makes four actors of one, *=2 splits all others. Order is then kept per anonymousId (userId where there is none). Change it only when nothing is pending',
  }),
  slots: integer({ default: 400, min: 1, max: 100_000, doc: 'Jobs one partition may hold at once' }),
  idleMs: integer({
    default: 60_000,
    min: 100,
    max: 86_400_000,
    doc: 'Idle time before a partition actor is put away',
  }),
};
