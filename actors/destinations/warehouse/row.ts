// A row on its way to a warehouse, and what it is made of.

import type { EventObject } from '../destination.ts';
import type { ColumnType } from './dialects.ts';
import type { RowOptions } from './settings.ts';

export interface WarehouseRow {
  metadata: {
    table: string;
    columns: Record<string, ColumnType>;
    receivedAt: string;
    isMergeRule?: true;
    mergePropOne?: string;
    mergePropTwo?: string;
  };
  data: Record<string, unknown>;
  userId: '';
}

/** What is known of an event besides its content. */
export interface RowMetadata {
  messageId: string;
  receivedAtMs: number;
  sourceId: string;
  /** '' where it is not known. */
  sourceType: string;
  sourceCategory: string;
  destinationId: string;
  destinationType: string;
}

/** Everything that goes into the rows of one event. */
export interface RowInput {
  event: EventObject;
  type: string;
  context: EventObject;
  metadata: RowMetadata;
  options: RowOptions;
  taken: ReadonlySet<string>;
  receivedAt: string;
}
