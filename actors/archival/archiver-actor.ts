// The archiver as an actor type: one for each source that is archived. What it does is in archiver.ts.

import { type ActorDefinition, defineActor } from '../../runtime/index.ts';
import { createEgressGuard } from '../../transport/index.ts';
import type { Environment } from '../environment.ts';
import type { ObjectStorage, StoragePlace } from '../object-storage/contract.ts';
import { ObjectStorageError } from '../object-storage/contract.ts';
import { openObjectStorage, placeOfBucket, placeOfSettings } from '../object-storage/open-storage.ts';
import type { SourceConfig } from '../services/workspace.ts';
import { BytesBudget } from '../storage/partition-session.ts';
import { Archiver, type ArchiverShared } from './archiver.ts';
import { type ArchiverMessage, archiverKind } from './contract.ts';

const mailboxBytesMax = 64 * 1024 * 1024;
/** Events that all archivers of a thread hold. */
const threadBytesMax = 96 * 1024 * 1024;
const storagesMax = 64;
const idleMs = 60_000;

export function archiverDefinition(environment: Environment): ActorDefinition<ArchiverMessage> {
  let shared: ArchiverShared | undefined;
  return defineActor<ArchiverMessage>({
    kind: archiverKind,
    role: 'actors',
    idleMs,
    mailbox: { bytesMax: mailboxBytesMax },
    create(context) {
      const { clock } = context;
      shared ??= {
        budget: new BytesBudget(threadBytesMax),
        storageOf: storages(environment, () => clock.nowMs()),
      };
      const archiver = new Archiver(context, environment, shared);
      return {
        onStart: () => archiver.open(),
        onMessage: (message) => archiver.receive(message),
        onStop: (reason) => archiver.stop(reason),
      };
    },
  });
}

/** Open ones are kept, the oldest given up beyond a number; a workspace's own go through the guard. */
function storages({ settings }: Environment, nowMs: () => number): ArchiverShared['storageOf'] {
  const open = new Map<string, ObjectStorage>();
  const guard = createEgressGuard({ allow: settings.egress.allow });
  const { timeoutMs } = settings.archival;
  return ({ observing }: SourceConfig) => {
    const own = observing?.archiveBucket;
    const place: StoragePlace | undefined = own === undefined ? placeOfSettings(settings) : placeOfBucket(own);
    if (place === undefined) throw new ObjectStorageError('BAD_PLACE', 'there is no storage for the archive', false);
    const key = JSON.stringify(place);
    let storage = open.get(key);
    if (storage === undefined) {
      storage = openObjectStorage(place, { timeoutMs, nowMs, ...(own === undefined ? {} : { guard }) });
      const [oldest] = open;
      if (open.size >= storagesMax && oldest !== undefined) {
        open.delete(oldest[0]);
        // What is under way on it ends first.
        void oldest[1].close();
      }
      open.set(key, storage);
    }
    return storage;
  };
}
