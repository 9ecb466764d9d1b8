// Reads what the prelude of a sandbox answers. The text comes from where customers' code runs, so nothing in it is
// trusted: whatever is not as agreed fails the events it was about.

import { failed, type TransformOutcome } from './contract.ts';

export function readAnswer(text: string, itemCount: number): TransformOutcome[] {
  const rest = text.slice(1);
  switch (text[0]) {
    case 'F':
      return [{ outputs: [] }];
    case 'O':
      return [{ outputs: [rest] }];
    case 'J':
      return readRows(rest, itemCount);
    default:
      return Array.from({ length: itemCount }, () => failed(rest === '' ? 'the sandbox gave no answer' : rest));
  }
}

const between = '\u001e';

/** Of several events: as many as there are answers. */
export function readAnswers(text: string): TransformOutcome[] {
  if (text === '') return [];
  return text.split(between).flatMap((answer) => readAnswer(answer, 1));
}

function readRows(text: string, itemCount: number): TransformOutcome[] {
  const outcomes = Array.from({ length: itemCount }, (): TransformOutcome => ({ outputs: [] }));
  const rows = parseRows(text);
  if (rows === undefined) return outcomes.map(() => failed('the sandbox gave an answer that cannot be read'));
  for (const [index, output, reason] of rows) {
    const outcome = typeof index === 'number' ? outcomes[index] : undefined;
    if (outcome === undefined) continue;
    if (typeof output === 'string') outcome.outputs.push(output);
    else
      outcome.failure = failed(typeof reason === 'string' ? reason : 'it is not an object').failure ?? {
        code: 400,
        reason: '',
      };
  }
  return outcomes;
}

function parseRows(text: string): unknown[][] | undefined {
  try {
    const rows: unknown = JSON.parse(text);
    return Array.isArray(rows) && rows.every(Array.isArray) ? rows : undefined;
  } catch {
    return undefined;
  }
}
