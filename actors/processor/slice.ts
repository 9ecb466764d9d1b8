// Some jobs on their way through what is done elsewhere, together and in order; no later job is processed before them.
//
//   hydrating --all answered--> transforming --all answered--> ready --finish--> in a batch
//
// Each state is passed at once where no event of the slice needs it.

import type { HandedJob } from '../storage/partition-session.ts';
import { DedupClaims } from './dedup-claims.ts';
import type { Hydration } from './hydration.ts';
import { finish, type PipelineContext, type Prepared, prepare } from './pipeline.ts';
import type { PipelineBatch } from './pipeline-batch.ts';
import type { UserTransforms } from './user-transforms.ts';

export interface SliceServices {
  readonly hydration: Hydration;
  readonly transforms: UserTransforms;
}

export class Slice {
  readonly #jobs: readonly HandedJob[];
  /** By which it is finished too: another configuration may want other transformations. */
  readonly #context: PipelineContext;
  readonly #services: SliceServices;
  readonly #claims = new DedupClaims();
  #prepared: Prepared[] = [];
  #isReady = false;

  constructor(jobs: readonly HandedJob[], context: PipelineContext, services: SliceServices) {
    this.#jobs = jobs;
    this.#context = context;
    this.#services = services;
    if (!services.hydration.begin(jobs, context)) this.hydrated();
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  hydrated(): void {
    this.#prepared = this.#jobs.map((handed) => prepare(handed, this.#claims, this.#context));
    if (!this.#services.transforms.begin(this.#prepared)) this.transformed();
  }

  transformed(): void {
    this.#isReady = true;
  }

  finish(batch: PipelineBatch): void {
    batch.claims.absorb(this.#claims);
    for (const one of this.#prepared) finish(one, batch, this.#context);
  }
}
