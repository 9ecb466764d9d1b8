// The datasets of one queue of a lane. Their id ranges never overlap: every job id belongs to at most one of them, the
// one its statuses are written to. Those that moved their last jobs on stay for look-up only.

import type { QueueName } from '../job.ts';
import { type Dataset, type DatasetName, newDataset } from './datasets.ts';

export interface RetentionLimits {
  retentionMs: number;
  retentionBytesMax: number;
}

export class DatasetList {
  readonly lane: number;
  readonly queue: QueueName;
  /** Never changed in place: a reader goes through the list it began with, whatever is dropped meanwhile. */
  #datasets: readonly Dataset[];
  #moved: readonly Dataset[];
  #numberMax: number;
  /** Tables of the next live dataset that are there already. */
  #prepared: DatasetName | undefined;

  constructor(
    { lane, queue }: { lane: number; queue: QueueName },
    datasets: readonly Dataset[],
    moved: readonly Dataset[] = [],
  ) {
    this.lane = lane;
    this.queue = queue;
    this.#datasets = [...datasets].sort((a, b) => a.firstJobId - b.firstJobId);
    this.#moved = moved;
    this.#numberMax = Math.max(0, ...datasets.map(({ number }) => number), ...moved.map(({ number }) => number));
  }

  /** Oldest jobs first; the last one may be live. */
  get all(): readonly Dataset[] {
    return this.#datasets;
  }

  /** Those whose ids a residue has taken over. */
  get moved(): readonly Dataset[] {
    return this.#moved;
  }

  /** Where new jobs go; undefined until the next one comes. */
  get live(): Dataset | undefined {
    const last = this.#datasets.at(-1);
    return last?.lastJobId === 0 ? last : undefined;
  }

  get prepared(): DatasetName | undefined {
    return this.#prepared;
  }

  /** The dataset that holds `jobId`; undefined when it was dropped. */
  containing(jobId: number): Dataset | undefined {
    for (let at = this.#datasets.length - 1; at >= 0; at -= 1) {
      const dataset = this.#datasets[at];
      if (dataset === undefined || jobId < dataset.firstJobId) continue;
      return dataset.lastJobId === 0 || jobId <= dataset.lastJobId ? dataset : undefined;
    }
    return undefined;
  }

  /** A name nobody has used since the start; what an earlier process left half made is gone by then (queues.ts). */
  newName(): DatasetName {
    this.#numberMax += 1;
    return { lane: this.lane, queue: this.queue, number: this.#numberMax };
  }

  /** The tables of the next live dataset are there. */
  setPrepared(name: DatasetName): void {
    this.#prepared = name;
  }

  /** The next live dataset, not entered yet; it may be asked for again if that fails. */
  nextLive(nextJobId: number, createdAtMs: number): Dataset {
    this.#prepared ??= this.newName();
    return newDataset({ ...this.#prepared, firstJobId: nextJobId, createdAtMs });
  }

  enterLive(dataset: Dataset): void {
    this.#datasets = [...this.#datasets, dataset];
    this.#prepared = undefined;
  }

  seal(lastJobId: number, nowMs: number): void {
    const { live } = this;
    if (live === undefined) return;
    live.lastJobId = lastJobId;
    live.sealedAtMs = nowMs;
  }

  /** `residue` takes over the ids of `sources`. */
  replace(sources: readonly Dataset[], residue: Dataset): void {
    const kept = this.#datasets.filter((one) => !sources.includes(one));
    this.#datasets = [...kept, residue].sort((a, b) => a.firstJobId - b.firstJobId);
    for (const source of sources) source.finished = source.rows;
    this.#moved = [...this.#moved, ...sources];
  }

  /** Sealed datasets without unfinished jobs that may go: too old, or too many bytes are kept. Oldest first. */
  expired(nowMs: number, { retentionMs, retentionBytesMax }: RetentionLimits): Dataset[] {
    const kept = [...this.#moved, ...this.#datasets].sort((a, b) => a.firstJobId - b.firstJobId);
    let keptBytes = kept.reduce((sum, one) => sum + one.bytes, 0);
    const expired: Dataset[] = [];
    for (const dataset of kept) {
      if (dataset.lastJobId === 0 || dataset.finished < dataset.rows) continue;
      if (nowMs - dataset.sealedAtMs < retentionMs && keptBytes <= retentionBytesMax) continue;
      keptBytes -= dataset.bytes;
      expired.push(dataset);
    }
    return expired;
  }

  remove(dataset: Dataset): void {
    this.#datasets = this.#datasets.filter((one) => one !== dataset);
    this.#moved = this.#moved.filter((one) => one !== dataset);
  }
}
