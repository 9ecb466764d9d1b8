// Who looks on at a source's events without having a say in what becomes of them. Each stands in a file of its own, looks
// at the source's configuration once, and is left out where nobody wants to know.

import type { Environment } from '../environment.ts';
import type { TapFactory } from './stage.ts';

export function processorTaps({ observers }: Pick<Environment, 'observers'>): TapFactory[] {
  return [...(observers?.taps ?? [])];
}
