// A Link carries envelopes between two threads, in order, with bounded memory. Two implementations behind one
// interface: port-link.ts over a MessagePort, memory-link.ts inside one thread for tests and simulation.
//
// Back-pressure by credits: each direction has a window of envelopes and bytes. The receiver gives credit back when
// it took an envelope over (into a mailbox), not when it was handled: a slow actor must not block its link. Without
// credit envelopes wait in an outbox of the same size; a full outbox refuses, visibly.

/** What travels. The header is small and decoded at once; the body stays encoded until the handler's slice. */
export interface Envelope {
  type: 'message' | 'reply' | 'failure' | 'system';
  /** Receiver of a message; '' for replies and failures, which go by `askId`. */
  toKind: string;
  toKey: string;
  /** Sender, for order and diagnostics; '' when it is not an actor. */
  fromKind: string;
  fromKey: string;
  /** 0 = tell. Unique per asking thread. */
  askId: number;
  /** Absolute epoch ms after which an ask is not worth handling; 0 = none. */
  deadlineMs: number;
  /** W3C traceparent, or ''. */
  traceparent: string;
  /** Of an ask: who waits for its sender, so that a circle of asks is found; '' except in tests. */
  askChain: string;
  /** Encoded by codec.ts; owns its buffer or is a view into a received frame. */
  body: Uint8Array;
}

export interface LinkStats {
  sentEnvelopes: number;
  sentFrames: number;
  sentBytes: number;
  receivedEnvelopes: number;
  refusedEnvelopes: number;
  outboxEnvelopes: number;
  outboxBytes: number;
  creditEnvelopes: number;
  creditBytes: number;
  /** Taken over and not given credit for yet: with what the other end has, and what is on the way, a whole window. */
  owedEnvelopes: number;
  owedBytes: number;
}

export interface Link {
  /** Id of the thread at the other end. */
  readonly peer: number;
  /** False: no credit and the outbox is full, or the link is closed. Envelopes leave at the end of the turn (`flush`). */
  send(envelope: Envelope): boolean;
  /** Posts what is waiting as one frame (at most `frameBytesMax` each). Called by the owner once per loop turn. */
  flush(): void;
  /** Exactly one receiver. It only appends to mailboxes and returns; it never runs actor code. */
  onEnvelopes(receive: (envelopes: readonly Envelope[]) => void): void;
  /** The other end closed or died. Called once. */
  onClose(closed: () => void): void;
  /** Asks the owner to call `flush` at the end of this turn; called when the first envelope waits. */
  onWantFlush(wantFlush: () => void): void;
  close(): void;
  stats(): LinkStats;
}

export interface LinkOptions {
  /** Credit window per direction; default 1,024 envelopes and 16 MiB. */
  windowEnvelopes: number;
  windowBytes: number;
  /** Largest frame; default 64 KiB. A single larger envelope travels alone. */
  frameBytesMax: number;
  /** Largest body; beyond it `send` throws TransportError BODY_TOO_LARGE. Default 64 MiB. */
  bodyBytesMax: number;
}
