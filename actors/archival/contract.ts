// What the archiver of a source receives, and what it tells about itself.

import type { Outcome } from '../../runtime/index.ts';
import type { SessionMessage } from '../storage/partition-session.ts';

export const archiverKind = 'archiver';

export type ArchiverMessage = SessionMessage | CollectedJobs | ArchiveWritten;

/** Nothing more has come for a moment: what is there is looked at. */
export interface CollectedJobs {
  kind: 'collected';
}

/** The object is written, or is not. */
export interface ArchiveWritten {
  kind: 'archiveWritten';
  outcome: Outcome<void>;
}

/** To the process, after every attempt: for the admin server. */
export interface ArchiveTold {
  kind: 'archiveTold';
  sourceId: string;
  /** The object that was written last. */
  key: string;
  events: number;
  /** Why it was not written; '' when it was. */
  failure: string;
}

/** Under this id an operator pauses the archive of a source; destinations have ids of their own. */
export function archiveControlId(sourceId: string): string {
  return `archive:${sourceId}`;
}
