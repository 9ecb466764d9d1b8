// The message ids that the events of one commit claim as theirs. They travel with the commit, so that an id is
// remembered exactly when its event is done; when the commit is refused they are given back.

import type { SeenIds } from '../storage/contract.ts';

export interface Claim {
  jobId: number;
  windowMs: number;
  /** The two words of the id's hash. */
  low: number;
  high: number;
}

const hashBytes = 8;

export class DedupClaims {
  #claims: Claim[] = [];
  #seenMs = 0;

  get all(): readonly Claim[] {
    return this.#claims;
  }

  add(claim: Claim, receivedAtMs: number): void {
    this.#claims.push(claim);
    this.#seenMs = Math.max(this.#seenMs, receivedAtMs);
  }

  /** That of a job which comes to nothing. Mostly it is the last one. */
  remove(jobId: number): Claim | undefined {
    for (let at = this.#claims.length - 1; at >= 0; at -= 1) {
      if (this.#claims[at]?.jobId === jobId) return this.#claims.splice(at, 1)[0];
    }
    return undefined;
  }

  /** Those of events that were prepared before they joined this commit. */
  absorb(others: DedupClaims): void {
    for (const claim of others.#claims) this.#claims.push(claim);
    this.#seenMs = Math.max(this.#seenMs, others.#seenMs);
  }

  /** As storage keeps them: one row for each window, nearly always one. */
  rows(): SeenIds[] {
    const [first] = this.#claims;
    if (first === undefined) return [];
    const windows = new Set(this.#claims.map(({ windowMs }) => windowMs));
    return [...windows].map((windowMs) => ({ windowMs, seenMs: this.#seenMs, hashes: this.#hashesOf(windowMs) }));
  }

  #hashesOf(windowMs: number): Uint8Array {
    const claims = this.#claims.filter((claim) => claim.windowMs === windowMs);
    const bytes = new Uint8Array(claims.length * hashBytes);
    const view = new DataView(bytes.buffer);
    for (const [index, { low, high }] of claims.entries()) {
      view.setUint32(index * hashBytes, low, true);
      view.setUint32(index * hashBytes + 4, high, true);
    }
    return bytes;
  }
}

/** The inverse of `rows`, for one of them. */
export function readHashes(hashes: Uint8Array, add: (low: number, high: number) => void): void {
  const view = new DataView(hashes.buffer, hashes.byteOffset, hashes.byteLength);
  for (let at = 0; at + hashBytes <= hashes.byteLength; at += hashBytes) {
    add(view.getUint32(at, true), view.getUint32(at + 4, true));
  }
}
