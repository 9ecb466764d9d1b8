// The consumer of the storage benchmark: takes what it is handed over the product's partition session and commits it as
// done at once; when told to, it stores one router job per gateway job in the same commit, as the processor does.

import type { QueueName } from '../../actors/job.ts';
import type { LedgerDelta } from '../../actors/storage/contract.ts';
import { collectResults } from '../../actors/storage/done-runs.ts';
import { JobRowWriter } from '../../actors/storage/job-row.ts';
import {
  BytesBudget,
  bytesOf,
  type HandedJob,
  PartitionSession,
  type SessionMessage,
} from '../../actors/storage/partition-session.ts';
import { type ActorDefinition, defineActor } from '../../runtime/index.ts';
import { destinationId } from './job-frames.ts';

export type ConsumedQueue = Extract<QueueName, 'gw' | 'rt'>;

/** What the scenario and the consumers in its thread share. */
export interface ConsumerControl {
  /** False: partitions are left alone, their jobs stay pending. */
  isOpen: boolean;
  /** Parameters of the router jobs that gateway jobs become; undefined: they are just done. */
  forward: string | undefined;
  /** Jobs whose commit was answered. */
  done: Record<ConsumedQueue, number>;
  disorder: string[];
  onDone(): void;
  slots: Readonly<Record<ConsumedQueue, number>>;
  lanes: number;
}

const commitTimeoutMs = 120_000;
const budgetBytesMax = 512 * 1024 * 1024;
const disorderMax = 20;

export function consumerDefinition(queue: ConsumedQueue, control: ConsumerControl): ActorDefinition<SessionMessage> {
  const budget = new BytesBudget(budgetBytesMax);
  return defineActor<SessionMessage>({
    kind: queue === 'gw' ? 'processor' : 'router',
    role: 'main',
    idleMs: 0,
    mailbox: { bytesMax: budgetBytesMax },
    create(context) {
      const session = new PartitionSession<never>(context, {
        queue,
        lanes: control.lanes,
        slots: control.slots[queue],
        budget,
        commitTimeoutMs,
        isReady: () => control.isOpen,
      });
      const underWay = new Map<number, { count: number; bytes: number }>();
      let lastId = -1;
      const take = (handed: readonly HandedJob[]): void => {
        for (const { job, again } of handed) {
          const isFault = !again && job.jobId <= lastId && control.disorder.length < disorderMax;
          if (isFault) control.disorder.push(`${context.key}: job ${job.jobId} after ${lastId}`);
          lastId = Math.max(lastId, job.jobId);
        }
        const { runs, statuses } = collectResults(
          handed.map(({ job, afterId }) => ({ jobId: job.jobId, afterId, status: undefined })),
        );
        const jobs = control.forward === undefined || queue === 'rt' ? [] : [forwarded(handed, control.forward)];
        const ledger = doneDeltas(queue, handed, jobs.length > 0);
        const ticket = session.commit({ jobs, runs, statuses, ledger });
        underWay.set(ticket, {
          count: handed.length,
          bytes: handed.reduce((sum, { job }) => sum + bytesOf(job), 0),
        });
      };
      return {
        onStart: () => session.open(),
        onMessage(message) {
          if (message.kind === 'jobsReady') session.wake();
          else if (message.kind === 'openSession') session.open();
          else if (message.kind === 'checkSession') session.check();
          else if (message.kind === 'jobs') take(session.accept(message) ?? []);
          else if (message.kind === 'leavePartition') session.leave(message);
          else {
            const batch = underWay.get(message.ticket);
            underWay.delete(message.ticket);
            if (session.settle(message) !== 'committed' || batch === undefined) return;
            control.done[queue] += batch.count;
            session.release(batch.count, batch.bytes);
            control.onDone();
          }
        },
        onStop: () => session.close(),
      };
    },
  });
}

function forwarded(handed: readonly HandedJob[], parameters: string) {
  const writer = new JobRowWriter();
  for (const { job } of handed) {
    writer.append({ ...job, jobId: 0, parentId: job.jobId, parameters }, [job.payload]);
  }
  return { queue: 'rt' as const, ...writer.take() };
}

/** Here a partition has one source and, behind the processor, one destination: the first job's. */
function doneDeltas(queue: ConsumedQueue, handed: readonly HandedJob[], isForwarded: boolean): LedgerDelta[] {
  const [first] = handed;
  if (first === undefined) return [];
  const count = handed.length;
  const minute = Math.floor(Date.now() / 60_000);
  const parameters = JSON.parse(first.job.parameters) as { source_id: string; destination_id?: string };
  const sourceId = parameters.source_id;
  if (queue === 'rt') {
    return [{ minute, sourceId, destinationId: parameters.destination_id ?? '', kind: 'delivered', count }];
  }
  const processed: LedgerDelta = { minute, sourceId, destinationId: '', kind: 'processed', count };
  return isForwarded ? [processed, { minute, sourceId, destinationId, kind: 'routed', count }] : [processed];
}
