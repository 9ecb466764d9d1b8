// What every actor definition of the product is built with: one per thread, made in thread.ts from the data main sent.

import type { ActorRef, Telemetry } from '../runtime/index.ts';
import type { PostgresAddress } from '../transport/index.ts';
import type { Settings } from './config.ts';
import type { ControlsHolder } from './controls/contract.ts';
import type { ProcessMessage } from './process-actor.ts';
import type { Enrichers } from './processor/contract.ts';
import type { TapFactory } from './processor/stage.ts';
import type { DeliveryObserver } from './reporting/contract.ts';
import type { WorkspaceHolder } from './services/workspace.ts';
import type { LimitShare } from './storage/partition-session.ts';

/** Who looks on in a thread (thread-observers.ts). */
export interface ThreadObservers {
  readonly deliveries: DeliveryObserver;
  readonly taps: readonly TapFactory[];
  /** How to reach the process; an actor of the thread gives it, because only actors send. */
  attach(process: ActorRef<ProcessMessage>): void;
}

export interface Environment {
  readonly settings: Settings;
  readonly workspace: WorkspaceHolder;
  readonly controls: ControlsHolder;
  readonly telemetry: Telemetry;
  readonly postgres: PostgresAddress;
  /** Names this process among others on the same database: host, process id and a random part. */
  readonly instanceId: string;
  /** Absent: nobody looks on. */
  readonly observers?: ThreadObservers;
  /** How much of their limits partitions may use; absent: all. */
  readonly memory?: LimitShare;
  /** Of threads that host processors, where settings ask for some. */
  readonly enrichers?: Enrichers;
}
