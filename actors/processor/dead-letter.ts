// An event that is given up for one destination is kept: as a job of the queue `err` that has ended as it is stored, with
// the event, where and why it ended, and all that trying it again for this one destination takes (storage/redrive.ts).

import type { ErrorParameters, Job } from '../job.ts';
import type { EndedStatus } from '../storage/contract.ts';
import type { DestinationEnding, EventInHand } from './stage.ts';

/** When it happened, and by which configuration. */
export interface Moment {
  readonly nowMs: number;
  readonly configVersion: number;
}

export interface DeadLetterRow {
  row: Omit<Job, 'payload'>;
  body: readonly Uint8Array[];
  ended: EndedStatus;
}

const nameCharactersMax = 512;

/** The event as it came, since its source's stages are gone through again; a copy as customers' code had made it. */
export function deadLetterOf(inHand: EventInHand, ending: DestinationEnding, moment: Moment): DeadLetterRow {
  const { job } = inHand.handed;
  const { destinationId, code, reason, stage, copy } = ending;
  const { partition, userId, messageId, receivedAtMs } = job;
  const of = inHand.parameters.retry?.of ?? job.jobId;
  const { configVersion, nowMs } = moment;
  const parameters: ErrorParameters = {
    source_id: inHand.source.id,
    destination_id: destinationId,
    stage,
    config_version: configVersion,
    ...textField('event_name', inHand.event.event),
    ...textField('event_type', inHand.event.type),
    again: {
      ...inHand.parameters,
      destination_id: destinationId,
      retry: copy === undefined ? { of } : { of, copy: copy.number },
    },
  };
  const text = JSON.stringify(parameters);
  return {
    row: { jobId: 0, parentId: of, partition, userId, messageId, receivedAtMs, parameters: text },
    body: [copy?.bytes ?? job.payload],
    ended: { state: 'aborted', code, response: JSON.stringify({ reason, stage, configVersion }), execTimeMs: nowMs },
  };
}

function textField(name: string, value: unknown): Record<string, string> {
  return typeof value === 'string' ? { [name]: value.slice(0, nameCharactersMax) } : {};
}
