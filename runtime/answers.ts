// The way back of an ask: an answer or a failure goes to the asker in this thread, or over the link its ask came by, at
// most once. Whatever an actor answers with, the asker is told something it can read.

import { decode, type Envelope, encodeBody, isCrossingError, type Link, toCrossingError } from '../transport/index.ts';
import type { AskChain } from './ask-chain.ts';
import type { Asks } from './asks.ts';
import type { DeadLetters } from './dead-letters.ts';
import { copyOf, envelopeTo, nobody } from './envelopes.ts';
import { asError, asRuntimeError, RuntimeError, rebuild } from './errors.ts';
import type { Mail } from './mail.ts';

export interface AnswersParts {
  asks: Asks;
  deadLetters: DeadLetters;
  serializeLocalMessages: boolean;
  /** Only in tests: asks that wait for each other. */
  askChain: AskChain | undefined;
}

export class Answers {
  private readonly parts: AnswersParts;

  constructor(parts: AnswersParts) {
    this.parts = parts;
  }

  answer(mail: Mail, value: unknown): void {
    const { askId, replyTo } = mail;
    if (askId === 0) return;
    try {
      if (replyTo !== undefined) this.send(mail, replyTo, 'reply', encodeBody(value));
      else this.parts.asks.settle(askId, this.parts.serializeLocalMessages ? copyOf(value) : value);
      this.close(mail);
    } catch (error) {
      this.fail(mail, asError(error));
    }
  }

  fail(mail: Mail, error: Error): void {
    const { askId, replyTo } = mail;
    if (askId === 0) return;
    // Of an error only what `rebuild` reads goes along: data could be anything, also what cannot be encoded.
    if (replyTo !== undefined) {
      this.send(mail, replyTo, 'failure', encodeBody({ ...toCrossingError(error), data: null }));
    } else this.parts.asks.fail(askId, error);
    this.close(mail);
  }

  /** Nobody waits for an answer any more. */
  close(mail: Mail): void {
    mail.askId = 0;
    this.parts.askChain?.settled(mail);
  }

  receiveReply(envelope: Envelope): void {
    try {
      this.parts.asks.settle(envelope.askId, decode(envelope.body));
    } catch (error) {
      this.parts.asks.fail(envelope.askId, asError(error));
    }
  }

  receiveFailure(envelope: Envelope): void {
    const form = decode(envelope.body);
    const error = isCrossingError(form) ? rebuild(form) : new RuntimeError('HANDLER_FAILED', 'the ask failed');
    this.parts.asks.fail(envelope.askId, error);
  }

  private send(mail: Mail, link: Link, type: 'reply' | 'failure', body: Uint8Array): void {
    const envelope = envelopeTo(type, nobody, mail.askId, body);
    envelope.traceparent = mail.traceparent;
    let isSent = false;
    try {
      isSent = link.send(envelope);
    } catch (error) {
      throw asRuntimeError(error);
    }
    if (isSent) return;
    this.parts.deadLetters.add({ reason: 'reply-lost', to: mail.from ?? nobody, from: undefined, wasAsk: true });
  }
}
