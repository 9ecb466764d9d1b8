// Regular expressions of tracking plans, which customers write: matched in linear time by RE2's algorithm, and only as much
// of it per event as a budget allows, so that no pattern and no text can hold the thread.

import type { RE2JS } from 're2js';
import { loadRe2 } from './heavy-libraries.ts';

/** Steps of the matcher for all patterns of one event: a tenth of a second at the very worst. */
const stepsPerEvent = 1_000_000;
const patternCharactersMax = 2_000;

export class TooCostly extends Error {
  override name = 'TooCostly';
}

let stepsLeft = stepsPerEvent;

/** To be called before each event. */
export function renewSteps(): void {
  stepsLeft = stepsPerEvent;
}

class LinearPattern {
  readonly #pattern: RE2JS;
  readonly #size: number;
  readonly #text: string;

  constructor(pattern: string) {
    const { RE2JS: engine } = loadRe2();
    this.#pattern = engine.compile(engine.translateRegExp(pattern));
    this.#size = this.#pattern.programSize();
    this.#text = `linear ${pattern}`;
  }

  /** What ajv tells patterns apart by. */
  toString(): string {
    return this.#text;
  }

  test(text: string): boolean {
    stepsLeft -= text.length * this.#size;
    if (stepsLeft < 0) throw new TooCostly('expected the patterns of the plan to cost less');
    return this.#pattern.matcher(text).find();
  }
}

/** What ajv asks for in place of RegExp. Throws for what linear time cannot do: look-around and back-references. */
export function linearPattern(pattern: string): LinearPattern {
  if (pattern.length > patternCharactersMax)
    throw new RangeError(`expected at most ${patternCharactersMax} characters`);
  return new LinearPattern(pattern);
}
