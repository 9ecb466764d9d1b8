// What every Link does, whatever carries its frames: credits, outbox, batching. port-link.ts and memory-link.ts only
// add the carrier, so the conformance suite exercises one implementation of the rules.
//
// A sender may have a window of envelopes and bytes on the way. The receiver gives credit back once its owner took the
// envelopes over, with the next frame the other way or, when half a window is owed, at once in an empty frame.
// States: open → closed (by `close`, or by the other end, which is reported once).

import { strict as assert } from 'node:assert';
import { envelopeBytes } from './envelope.ts';
import { TransportError } from './errors.ts';
import { FrameWriter, readFrame, travelsAlone, writeSingleFrame } from './frame.ts';
import type { Envelope, Link, LinkOptions, LinkStats } from './link.ts';

const mebibyte = 1024 * 1024;

/**
 * Frames are kept small: a post is cheap against 64 KiB of messages, the receiver starts sooner, and a body that waits
 * in a mailbox keeps its whole frame alive.
 */
export const linkDefaults: Readonly<LinkOptions> = Object.freeze({
  windowEnvelopes: 1024,
  windowBytes: 16 * mebibyte,
  frameBytesMax: 64 * 1024,
  bodyBytesMax: 64 * mebibyte,
});

/** What takes frames to the other end, in order, or drops them when that end is gone. */
export interface FrameCarrier {
  /** Takes ownership of the frame. */
  post(frame: ArrayBuffer): void;
  close(): void;
}

/** One frame writer per thread is enough: frames are built without anything running in between. */
const writer = new FrameWriter();

export class FramedLink implements Link {
  readonly peer: number;
  readonly #carrier: FrameCarrier;
  readonly #options: LinkOptions;
  readonly #outbox: EnvelopeQueue;
  #receive: ((envelopes: readonly Envelope[]) => void) | undefined;
  #closed: (() => void) | undefined;
  #wantFlush: (() => void) | undefined;
  #open = true;
  #lost = false;
  /** What we may still send. Bytes may fall below zero by a body larger than half a window. */
  #creditEnvelopes: number;
  #creditBytes: number;
  /** What we took over and have not given credit for yet. */
  #owedEnvelopes = 0;
  #owedBytes = 0;
  #sentEnvelopes = 0;
  #sentFrames = 0;
  #sentBytes = 0;
  #receivedEnvelopes = 0;
  #refusedEnvelopes = 0;

  constructor(peer: number, carrier: FrameCarrier, options: Partial<LinkOptions> = {}) {
    this.peer = peer;
    this.#carrier = carrier;
    this.#options = { ...linkDefaults, ...options };
    this.#outbox = new EnvelopeQueue(this.#options.windowEnvelopes);
    this.#creditEnvelopes = this.#options.windowEnvelopes;
    this.#creditBytes = this.#options.windowBytes;
  }

  send(envelope: Envelope): boolean {
    if (envelope.body.byteLength > this.#options.bodyBytesMax) {
      throw new TransportError(
        'BODY_TOO_LARGE',
        `expected a body of at most ${this.#options.bodyBytesMax} bytes, got ${envelope.body.byteLength}`,
      );
    }
    if (!this.#open) return this.#refuse();
    const bytes = envelopeBytes(envelope);
    if (!this.#fits(bytes)) {
      this.flush();
      if (!this.#fits(bytes)) return this.#refuse();
    }
    const first = this.#outbox.length === 0;
    this.#outbox.push(envelope, bytes);
    // A full frame leaves at once: the other thread starts on it while this one goes on.
    if (this.#outbox.bytes >= this.#options.frameBytesMax && this.#mayPost()) this.flush();
    else if (first) this.#wantFlush?.();
    return true;
  }

  flush(): void {
    while (this.#open && this.#mayPost()) this.#postFrame();
  }

  onEnvelopes(receive: (envelopes: readonly Envelope[]) => void): void {
    assert.equal(this.#receive, undefined, 'expected a link to have one receiver');
    this.#receive = receive;
  }

  onClose(closed: () => void): void {
    this.#closed = closed;
    if (this.#lost) closed();
  }

  onWantFlush(wantFlush: () => void): void {
    this.#wantFlush = wantFlush;
  }

  /** What still waits is posted as far as credit reaches; the rest is gone with the link. */
  close(): void {
    if (!this.#open) return;
    this.flush();
    this.#open = false;
    this.#outbox.clear();
    this.#carrier.close();
  }

  stats(): LinkStats {
    return {
      sentEnvelopes: this.#sentEnvelopes,
      sentFrames: this.#sentFrames,
      sentBytes: this.#sentBytes,
      receivedEnvelopes: this.#receivedEnvelopes,
      refusedEnvelopes: this.#refusedEnvelopes,
      outboxEnvelopes: this.#outbox.length,
      outboxBytes: this.#outbox.bytes,
      creditEnvelopes: this.#creditEnvelopes,
      creditBytes: this.#creditBytes,
      owedEnvelopes: this.#owedEnvelopes,
      owedBytes: this.#owedBytes,
    };
  }

  /** For the carrier: a frame arrived. Throws on bytes that are no frame, which only a defect of ours can send. */
  receiveFrame(bytes: ArrayBuffer): void {
    if (!this.#open) return;
    const { creditEnvelopes, creditBytes, envelopes } = readFrame(bytes);
    this.#creditEnvelopes += creditEnvelopes;
    this.#creditBytes += creditBytes;
    if (envelopes.length > 0) this.#takeOver(envelopes);
    if (creditEnvelopes > 0 && this.#mayPost()) this.flush();
  }

  /** For the carrier: the other end is gone. */
  peerClosed(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#lost = true;
    this.#outbox.clear();
    this.#carrier.close();
    this.#closed?.();
  }

  #takeOver(envelopes: readonly Envelope[]): void {
    assert(this.#receive !== undefined, 'expected a receiver before the first envelope');
    let bytes = 0;
    for (const envelope of envelopes) bytes += envelopeBytes(envelope);
    this.#receivedEnvelopes += envelopes.length;
    this.#receive(envelopes);
    this.#owedEnvelopes += envelopes.length;
    this.#owedBytes += bytes;
    const half =
      this.#owedEnvelopes * 2 >= this.#options.windowEnvelopes || this.#owedBytes * 2 >= this.#options.windowBytes;
    if (!half || !this.#open) return;
    if (this.#mayPost()) this.flush();
    else this.#post(writer.finish(this.#owedEnvelopes, this.#owedBytes), 0);
  }

  #fits(bytes: number): boolean {
    const outbox = this.#outbox;
    if (outbox.length >= this.#options.windowEnvelopes) return false;
    return outbox.length === 0 || outbox.bytes + bytes <= this.#options.windowBytes;
  }

  /**
   * Whether the next envelope has credit. Never more than half a window of bytes is asked for: the other end gives
   * credit back at half, so a larger body would wait for ever. The window is exceeded by at most one such body.
   */
  #mayPost(): boolean {
    if (this.#outbox.length === 0 || this.#creditEnvelopes === 0) return false;
    return this.#creditBytes >= Math.min(this.#outbox.firstBytes(), this.#options.windowBytes / 2);
  }

  #postFrame(): void {
    const first = this.#outbox.first();
    if (travelsAlone(first)) {
      this.#take();
      this.#post(writeSingleFrame(first, this.#owedEnvelopes, this.#owedBytes), 1);
      return;
    }
    let bytes = 0;
    let count = 0;
    do {
      const envelope = this.#outbox.first();
      if (count > 0 && (travelsAlone(envelope) || bytes + this.#outbox.firstBytes() > this.#options.frameBytesMax))
        break;
      writer.append(envelope);
      bytes += this.#take();
      count += 1;
    } while (this.#mayPost());
    this.#post(writer.finish(this.#owedEnvelopes, this.#owedBytes), count);
  }

  /** Takes the first envelope out of the outbox and off the credit; returns its size. */
  #take(): number {
    const bytes = this.#outbox.firstBytes();
    this.#outbox.shift();
    this.#creditEnvelopes -= 1;
    this.#creditBytes -= bytes;
    return bytes;
  }

  #post(frame: ArrayBuffer, count: number): void {
    this.#owedEnvelopes = 0;
    this.#owedBytes = 0;
    this.#sentEnvelopes += count;
    this.#sentFrames += 1;
    this.#sentBytes += frame.byteLength;
    this.#carrier.post(frame);
  }

  #refuse(): false {
    this.#refusedEnvelopes += 1;
    return false;
  }
}

/** A bounded ring of envelopes with their sizes. */
class EnvelopeQueue {
  readonly #envelopes: (Envelope | undefined)[];
  readonly #sizes: Float64Array;
  #head = 0;
  length = 0;
  bytes = 0;

  constructor(capacity: number) {
    this.#envelopes = new Array<Envelope | undefined>(capacity).fill(undefined);
    this.#sizes = new Float64Array(capacity);
  }

  push(envelope: Envelope, bytes: number): void {
    const at = (this.#head + this.length) % this.#envelopes.length;
    this.#envelopes[at] = envelope;
    this.#sizes[at] = bytes;
    this.length += 1;
    this.bytes += bytes;
  }

  first(): Envelope {
    const envelope = this.#envelopes[this.#head];
    assert(envelope !== undefined, 'expected the outbox to hold an envelope');
    return envelope;
  }

  firstBytes(): number {
    return this.#sizes[this.#head] ?? 0;
  }

  shift(): void {
    this.bytes -= this.firstBytes();
    this.#envelopes[this.#head] = undefined;
    this.#head = (this.#head + 1) % this.#envelopes.length;
    this.length -= 1;
  }

  clear(): void {
    while (this.length > 0) this.shift();
  }
}
