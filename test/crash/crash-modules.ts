// Where the crash matrix looks for points: everything that stands between an event's acceptance and its last status.
// Every file of `actors/storage/` is here without being named, so that a new one cannot be forgotten.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { moduleReasons } from './crash-exemptions.ts';
import type { CrashModule } from './crash-points.ts';

/** Handlers that change state without awaiting: the hand-off, sessions, what is done with a commit's answer. */
const handlers: Readonly<Record<string, readonly string[]>> = {
  'gateway/store-batcher': ['store', '#commit', '#settle', '#release'],
  'processor/dedup': ['begin', 'load', 'committed', 'forget'],
  'processor/processor': ['#processSlice', '#commit', '#settle'],
  'router/result-log': ['record', 'commit', 'settle'],
  'router/router': ['#take', '#collect', '#release'],
  'router/sender': ['send', '#complete'],
  'router/window': ['take', 'release', 'releaseDue'],
  'storage/dataset-list': ['enterLive', 'seal', 'replace', 'remove'],
  'storage/hand-off': ['open', 'pull', 'close', 'stored', 'serve', 'beginReport', 'endReport', '#handRows'],
  'storage/lane': ['submit', '#number', '#settle'],
  'storage/owned-lane': ['commit', '#committed', '#refused'],
  'storage/partition-session': ['open', 'accept', 'commit', 'settle', 'close'],
  'storage/storage-actor': ['#commit'],
};

/** A small load must see what a large one sees: ids run out, the ledger is folded, datasets are dropped. */
const constants: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  'storage/dedup-tables': { tableAgeMs: 60 },
  'storage/inbox-writer': { tableBytesMax: 4_000 },
  'storage/lease-actor': { lookMs: 200, abandonedMs: 200 },
  'storage/ledger-tables': { ledgerRowsMax: 60 },
  'storage/maintenance': { periodMs: 40, backoffMsMax: 80 },
  'storage/ownership': { jobIdBlock: 96 },
};

/** `actorsFolder` holds the compiled modules. */
export function crashModules(actorsFolder: string): CrashModule[] {
  const storage = readdirSync(join(actorsFolder, 'storage'))
    .filter((file) => file.endsWith('.js'))
    .map((file) => `storage/${file.slice(0, -'.js'.length)}`)
    .filter((name) => moduleReasons[name] === undefined);
  const others = [
    'database',
    'gateway/store-batcher',
    'processor/dedup',
    'processor/processor',
    'router/result-log',
    'router/router',
    'router/sender',
    'router/window',
  ];
  return [...storage, ...others].sort().map((name) => ({
    name,
    handlers: handlers[name] ?? [],
    constants: constants[name] ?? {},
  }));
}
