// From the Authorization header to the source it belongs to: HTTP Basic, the user name is the write key and the
// password is ignored.
//
// Keys are found through the hash of the whole header or key (seeded per process), never compared with a prefix of a
// stored one, so the time an answer takes says nothing about how close a guess was.

import type { SourceConfig, WorkspaceHolder, WorkspaceIndex } from '../services/workspace.ts';
import { type Answer, answers } from './answers.ts';

export type AuthOutcome = { ok: true; source: SourceConfig } | { ok: false; answer: Answer };

/** Headers whose source is remembered, so that a client's every request does not decode base64 again. */
const rememberedMax = 10_000;

export class WriteKeyAuth {
  readonly #workspace: WorkspaceHolder;
  #index: WorkspaceIndex;
  /** Only headers that led to an enabled source: guesses leave no trace here. */
  readonly #remembered = new Map<string, AuthOutcome>();

  constructor(workspace: WorkspaceHolder) {
    this.#workspace = workspace;
    this.#index = workspace.current;
  }

  authenticate(authorization: string): AuthOutcome {
    if (this.#index !== this.#workspace.current) {
      this.#index = this.#workspace.current;
      this.#remembered.clear();
    }
    const remembered = this.#remembered.get(authorization);
    if (remembered !== undefined) return remembered;
    const outcome = this.#lookUp(authorization);
    if (outcome.ok) {
      if (this.#remembered.size >= rememberedMax) this.#remembered.clear();
      this.#remembered.set(authorization, outcome);
    }
    return outcome;
  }

  #lookUp(authorization: string): AuthOutcome {
    const writeKey = readWriteKey(authorization);
    if (writeKey === '') return { ok: false, answer: answers.noWriteKey };
    // Without any configuration nobody's key is wrong: clients that are told so throw their events away.
    if (this.#index.snapshot.version === 0) return { ok: false, answer: answers.unavailable };
    const source = this.#index.sourceByWriteKey(writeKey);
    if (source === undefined) return { ok: false, answer: answers.invalidWriteKey };
    if (!source.enabled) return { ok: false, answer: answers.sourceDisabled };
    return { ok: true, source };
  }
}

const basicScheme = /^Basic ([A-Za-z0-9+/]*={0,2})$/i;

/** The user name of HTTP Basic credentials; '' when the header does not hold any. */
export function readWriteKey(authorization: string): string {
  const encoded = basicScheme.exec(authorization)?.[1];
  if (encoded === undefined || encoded.length % 4 !== 0) return '';
  const credentials = Buffer.from(encoded, 'base64').toString();
  const mark = credentials.indexOf(':');
  return mark < 0 ? '' : credentials.slice(0, mark);
}
