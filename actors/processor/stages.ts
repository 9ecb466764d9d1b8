// The stages of a source's events, in the order in which events go through them. Each stands in a file of its own, looks
// at the source's configuration once, and is left out where there is nothing for it to do.

import type { StageFactory } from './stage.ts';

export function processorStages(): StageFactory[] {
  return [];
}
