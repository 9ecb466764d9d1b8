// From what a request carries to the source it belongs to. Applications send HTTP Basic, whose user name is the write key
// and whose password is ignored; pixels, beacons and webhooks the write key in the query; our own services a source id.
//
// Keys are found through the hash of the whole header or key (seeded per process), never compared with a prefix of a
// stored one, so the time an answer takes says nothing about how close a guess was.

import type { SourceConfig, WorkspaceHolder, WorkspaceIndex } from '../services/workspace.ts';
import { type Answer, answers } from './answers.ts';

export type AuthOutcome = { ok: true; source: SourceConfig } | { ok: false; answer: Answer };

/** Headers whose source is remembered, so that a client's every request does not decode base64 again. */
const rememberedMax = 10_000;
/** Write keys are no secret to whoever looks at a page: a password of 40 KB behind one must not be kept 10,000 times. */
const rememberedCharactersMax = 512;

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
    if (outcome.ok && authorization.length <= rememberedCharactersMax) {
      if (this.#remembered.size >= rememberedMax) this.#remembered.clear();
      this.#remembered.set(authorization, outcome);
    }
    return outcome;
  }

  /** The query's `writeKey`, for clients that cannot send headers. */
  authenticateQuery(query: string): AuthOutcome {
    const writeKey = new URLSearchParams(query).get('writeKey') ?? '';
    if (writeKey === '') return { ok: false, answer: answers.noQueryWriteKey };
    return this.#enabled(this.#workspace.current.sourceByWriteKey(writeKey), answers.invalidWriteKey);
  }

  /** The query's write key wins over that of the header; only webhook sources take webhooks. */
  authenticateWebhook(query: string, authorization: string): AuthOutcome {
    const writeKey = new URLSearchParams(query).get('writeKey') ?? '';
    const found = writeKey === '' ? readWriteKey(authorization) : writeKey;
    if (found === '') return { ok: false, answer: answers.noQueryWriteKey };
    const source = this.#workspace.current.sourceByWriteKey(found);
    const isWebhook = source?.sourceDefinition.category === 'webhook';
    return this.#enabled(isWebhook ? source : undefined, answers.invalidWriteKey);
  }

  authenticateSourceId(sourceId: string): AuthOutcome {
    if (sourceId === '') return { ok: false, answer: answers.noSourceId };
    return this.#enabled(this.#workspace.current.sourceById(sourceId), answers.invalidSourceId);
  }

  /** Only a source that stands for another one takes its events a second time. */
  authenticateReplay(sourceId: string): AuthOutcome {
    const outcome = this.authenticateSourceId(sourceId);
    if (!outcome.ok || (outcome.source.originalId ?? '') !== '') return outcome;
    return { ok: false, answer: answers.invalidReplaySource };
  }

  #lookUp(authorization: string): AuthOutcome {
    const writeKey = readWriteKey(authorization);
    if (writeKey === '') return { ok: false, answer: answers.noWriteKey };
    return this.#enabled(this.#index.sourceByWriteKey(writeKey), answers.invalidWriteKey);
  }

  #enabled(source: SourceConfig | undefined, unknown: Answer): AuthOutcome {
    // Without any configuration nobody's key is wrong: clients that are told so throw their events away.
    if (this.#workspace.current.snapshot.version === 0) return { ok: false, answer: answers.unavailable };
    if (source === undefined) return { ok: false, answer: unknown };
    return source.enabled ? { ok: true, source } : { ok: false, answer: answers.sourceDisabled };
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
