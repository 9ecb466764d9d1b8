// What is asked of a transformation: some events of one destination, and the customer's program to run them through.
// Events travel as JSON text, because that is what sandboxes and the remote service take and give.

/** Transformations that behave share their threads; those that do not have others (transformation.ts). */
export const transformationKind = 'transformation';
export const suspectKind = 'transformation-suspect';

export interface TransformationLibrary {
  /** What code imports it by; '' until the code store has told. */
  name: string;
  versionId: string;
  /** Undefined: the code store has it. */
  code: string | undefined;
}

/** Plain data that crosses threads: everything that decides what a transformation does. */
export interface TransformationProgram {
  workspaceId: string;
  transformationId: string;
  versionId: string;
  language: string;
  /** Undefined: the code store has it. */
  code: string | undefined;
  libraries: readonly TransformationLibrary[];
  credentials: Readonly<Record<string, string>>;
  /** Of the service that runs it; '': it runs here. */
  remoteUrl: string;
}

export interface TransformItem {
  /** A JSON object. */
  event: string;
  /** What `metadata(event)` gives, as JSON. */
  metadata: string;
}

export interface TransformFailure {
  code: number;
  reason: string;
}

/** Of one item. Neither outputs nor a failure: the event was filtered (298). */
export interface TransformOutcome {
  /** JSON objects; more than one when the code returned an array. */
  outputs: string[];
  failure?: TransformFailure;
}

export interface TransformChunk {
  kind: 'transformChunk';
  program: TransformationProgram;
  items: readonly TransformItem[];
}

/** Answered at once: whoever is under suspicion proves with it that nobody else holds the thread. */
export interface TransformPing {
  kind: 'transformPing';
}

export interface TransformReply {
  /** In the order of the items; null: not yet, ask again after `retryMs`. */
  outcomes: (TransformOutcome | null)[];
  retryMs: number;
  /** What is left, and all that comes for a while, is to be asked of `suspectKind`. */
  isSuspect: boolean;
}

/** Codes as in spec/transformer-and-clients.md section 2. */
export const failedCode = 400;

export function failed(reason: string, code: number = failedCode): TransformOutcome {
  return { outputs: [], failure: { code, reason } };
}
