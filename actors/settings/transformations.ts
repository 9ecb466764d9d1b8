// Settings of customers' code: how many threads run it and what one event may cost.

import { choice, integer } from '../../runtime/index.ts';

export const transformationSettings = {
  threads: integer({
    default: 1,
    min: 1,
    max: 64,
    doc: "Threads for customers' code; started with the first transformation of the workspace, none before",
  }),
  cpuMsMax: integer({
    default: 500,
    min: 1,
    max: 10_000,
    doc: 'What the code may compute for one event (with transformBatch: one chunk); beyond: that event fails',
  }),
  wallMsMax: integer({
    default: 10_000,
    min: 1,
    max: 60_000,
    doc: 'Longest time for one event, waiting for fetch included; beyond: that event fails',
  }),
  memoryBytesMax: integer({
    default: 33_554_432,
    min: 4_194_304,
    max: 1_073_741_824,
    doc: 'Memory of one transformation; the event that needs more fails',
  }),
  outputBytesMax: integer({
    default: 4_194_304,
    min: 1_024,
    max: 16_777_216,
    doc: 'Characters of JSON one event may become; beyond: it fails',
  }),
  logBytesMax: integer({ default: 16_384, min: 0, max: 1_048_576, doc: 'Characters of log() kept per event' }),
  pauseMsMax: integer({
    default: 60_000,
    min: 0,
    max: 3_600_000,
    doc: 'A transformation that reaches cpuMsMax pauses for 1 s, then twice as long each time, at most this; so it cannot hold up others',
  }),
  whilePaused: choice(['wait', 'fail'], {
    default: 'wait',
    doc: 'What events of a paused transformation do: wait (and those behind them at the same source), or fail',
  }),
  idleMs: integer({ default: 60_000, min: 100, max: 86_400_000, doc: 'Idle time before a transformation is put away' }),
};
