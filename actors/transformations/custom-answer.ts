// Reads the answer of a remote transformation: items in any order, each naming its event in the metadata it echoes. An
// answer that leaves an event out, or names one that was not asked about, is used for none of them.

import { isTable } from '../transformer/rest-output.ts';
import { failed, type TransformItem, type TransformOutcome } from './contract.ts';

const successCode = 200;
const filteredCode = 298;
const reasonCharactersMax = 2_000;

/** In the order of the items; undefined: it cannot be used. */
export function readCustomAnswer(body: Buffer, items: readonly TransformItem[]): TransformOutcome[] | undefined {
  const answers = parse(body);
  if (!Array.isArray(answers)) return undefined;
  const places = new Map<string, number>();
  const byMessage = new Map<string, number>();
  for (const [index, { metadata }] of items.entries()) {
    const told = parse(Buffer.from(metadata));
    if (!isTable(told)) continue;
    places.set(placeOf(told, told.jobId), index);
    byMessage.set(placeOf(told, told.messageId), index);
  }
  const outcomes: (TransformOutcome | undefined)[] = items.map(() => undefined);
  for (const answer of answers) {
    const metadata = isTable(answer) ? answer.metadata : undefined;
    if (!isTable(answer) || !isTable(metadata)) return undefined;
    // A batch that failed as a whole names all of its events at once.
    const indexes = Array.isArray(metadata.messageIds)
      ? metadata.messageIds.map((id: unknown) => byMessage.get(placeOf(metadata, id)))
      : [places.get(placeOf(metadata, metadata.jobId))];
    for (const index of indexes) {
      if (index === undefined) return undefined;
      outcomes[index] = withAnswer(outcomes[index], answer);
    }
  }
  return outcomes.every((outcome) => outcome !== undefined) ? outcomes : undefined;
}

function withAnswer(before: TransformOutcome | undefined, answer: Record<string, unknown>): TransformOutcome {
  const outcome = before ?? { outputs: [] };
  const { statusCode, output, error } = answer;
  if (statusCode === filteredCode) return outcome;
  if (statusCode === successCode && isTable(output)) {
    outcome.outputs.push(JSON.stringify(output));
    return outcome;
  }
  const reason = typeof error === 'string' ? error.slice(0, reasonCharactersMax) : 'the transformation failed';
  const code = typeof statusCode === 'number' && statusCode >= 400 && statusCode < 600 ? statusCode : undefined;
  return { ...outcome, ...failed(reason, code), outputs: outcome.outputs };
}

/** A chunk may hold one event for several destinations. */
function placeOf({ destinationId }: Record<string, unknown>, id: unknown): string {
  return `${String(id)} ${String(destinationId)}`;
}

function parse(text: Buffer): unknown {
  try {
    return JSON.parse(text.toString('utf8'));
  } catch {
    return undefined;
  }
}
