// The remote transformer as the rest of the product sees it: which destinations are transformed by it, what a job tells
// it, and what it makes of a chunk of jobs. The wire types are those of the field (spec/transformer-and-clients.md 1),
// so that the service the field uses can be put beside Sluice and take over the types Sluice does not know itself.
//
// Destinations of a remote type are transformed when they are delivered, by the router of the destination: there a
// transformer that is away stops the destinations that need it and nobody else, not even others of the same source.

import type { Job, RequestDescriptor, RouterParameters } from '../job.ts';

/** Which types the remote transformer has, of the settings. */
export interface TransformerChoice {
  /** '': there is none. */
  readonly url: string;
  /** Types that go to it although we have a transform of our own, upper case. `*`: all of them. */
  readonly remoteTypes: readonly string[];
}

export const noTransformer: TransformerChoice = { url: '', remoteTypes: [] };

/** `isEmbedded`: we have a transform of our own for it. */
export function isRemoteType(choice: TransformerChoice, typeName: string, isEmbedded: boolean): boolean {
  if (choice.url === '') return false;
  if (!isEmbedded) return true;
  const name = typeName.toUpperCase();
  return choice.remoteTypes.some((type) => type === '*' || type.toUpperCase() === name);
}

/** Of a job whose payload is still the event: the transformer makes its requests when it is delivered. */
export const untransformedRequest: RequestDescriptor = {
  method: 'POST',
  endpoint: '',
  headers: {},
  params: {},
  format: 'EVENT',
};

/** What the transformer is told about a job; a job in a router's window is one. */
export interface TransformerJob {
  readonly job: Job;
  readonly parameters: Omit<RouterParameters, 'request'> | undefined;
  /** Attempts made, this one included. */
  readonly attempts: number;
  readonly firstAttemptedAtMs: number;
}

/** One request to a destination, and the form in which the transformer gave it. */
export interface OutputRequest {
  request: RequestDescriptor;
  body: Uint8Array;
  output: Readonly<Record<string, unknown>>;
}

/** What became of some jobs of a chunk, which share it. */
export interface TransformedGroup {
  /** Positions in the chunk; every position is in exactly one group. */
  indexes: readonly number[];
  /** In this order; the first that fails ends them. None: `code` is the outcome. */
  requests: readonly OutputRequest[];
  /** 200: as the requests end. Anything else is the outcome even when all of them succeed. */
  code: number;
  reason: string;
  /** What is to go beside no other job next time. */
  mustBeAlone?: boolean;
}

/**
 * The transformer gave no usable answer, which says nothing about the job: it is tried again for as long as it takes.
 * The field's code for it (spec/delivery.md 1.9).
 */
export const noTransformationCode = 599;
