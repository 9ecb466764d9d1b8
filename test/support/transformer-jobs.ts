// What tests of the remote transformer begin with: a client for a server of theirs, and jobs to ask it about.

import type { Job } from '../../actors/job.ts';
import type { TransformerJob } from '../../actors/transformer/contract.ts';
import { TransformerClient } from '../../actors/transformer/transformer-client.ts';
import { type Clock, realSeams } from '../../runtime/seams.ts';
import type { Cleanup } from './cleanup.ts';

const { clock: realClock, random } = realSeams();
/** Pauses between two asks are shortened; deadlines are the HTTP client's and stay. */
const clock: Clock = {
  nowMs: () => realClock.nowMs(),
  monotonicMs: () => realClock.monotonicMs(),
  setTimer: (delayMs, run) => realClock.setTimer(delayMs / 100, run),
};
export const patientMs = 20_000;
export const receivedAtMs = Date.UTC(2026, 0, 1);
const told = { source_id: 'src', destination_id: 'dst', workspace_id: 'ws-1', event_type: 'track' };

export function clientOf(t: Cleanup, url: string, timeoutMs = patientMs): TransformerClient {
  const options = {
    url,
    deliveryUrl: '',
    pollMs: 60_000,
    timeoutMs,
    answerBytesMax: 1_000_000,
    clock,
    random: () => random.next(),
  };
  const client = new TransformerClient(options);
  t.after(() => client.close());
  return client;
}

export function jobOf(jobId: number, event: object): TransformerJob {
  const job: Job = {
    jobId,
    parentId: jobId,
    partition: 'dst',
    userId: '<<>>anna<<>>',
    messageId: `m${jobId}`,
    receivedAtMs,
    parameters: '',
    payload: Buffer.from(JSON.stringify(event)),
  };
  return { job, parameters: told, attempts: 1, firstAttemptedAtMs: receivedAtMs };
}
