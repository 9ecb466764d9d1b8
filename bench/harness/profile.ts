// Where the time of a profiled run went: reads the profiles that the program's threads wrote (profile-preload.ts) and
// sums the samples by stage (folder of ours), by Node and its libraries, and by garbage collection. The profiles stay,
// for whoever wants to open them in a browser.

import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What a .cpuprofile holds, as far as it is used here. */
export interface CpuProfile {
  nodes: readonly { id: number; callFrame: { functionName: string; url: string } }[];
  samples?: readonly number[];
  timeDeltas?: readonly number[];
  loop?: { activeMs: number; utilization: number };
}

export interface ThreadProfile {
  /** With the busiest stage, because a thread has no better name from outside. */
  thread: string;
  rows: readonly { where: string; ms: number; share: number }[];
}

const rowsMax = 12;
const ours = /\/(?:dist\/)?((?:actors\/[a-z-]+|transport|runtime))\/[a-z0-9-]+\.[jt]s$/;

export function profileFolder(scenario: string): string {
  return mkdtempSync(join(tmpdir(), `sluice-profile-${scenario}-`));
}

/** Those of threads that did nothing are left out. */
export function readProfiles(folder: string, events: number): ThreadProfile[] {
  const files = readdirSync(folder).filter((name) => name.endsWith('.cpuprofile'));
  return files
    .map((name) => summarizeProfile(name, JSON.parse(readFileSync(join(folder, name), 'utf8')) as CpuProfile, events))
    .filter(({ rows }) => rows.length > 0);
}

/** Pure. Self time by stage; with `events`, also the microseconds of each. Idle time is left out. */
export function summarizeProfile(name: string, profile: CpuProfile, events: number): ThreadProfile {
  const stageOf = new Map(profile.nodes.map(({ id, callFrame }) => [id, stageOfFrame(callFrame)]));
  const micros = new Map<string, number>();
  for (const [index, node] of (profile.samples ?? []).entries()) {
    const stage = stageOf.get(node) ?? 'unknown';
    if (stage === 'idle') continue;
    micros.set(stage, (micros.get(stage) ?? 0) + (profile.timeDeltas?.[index] ?? 0));
  }
  const total = [...micros.values()].reduce((sum, one) => sum + one, 0);
  const sorted = [...micros].sort(([, one], [, other]) => other - one).slice(0, rowsMax);
  const busiest = sorted.find(([stage]) => stage.startsWith('actors/'))?.[0] ?? sorted[0]?.[0] ?? 'idle';
  const loop = profile.loop === undefined ? '' : `, loop ${Math.round(profile.loop.utilization * 100)} % busy`;
  const perEvent = events > 0 ? `, ${(total / events).toFixed(1)} µs per event` : '';
  return {
    thread: `${name.replace('.cpuprofile', '')} (mostly ${busiest}${loop}${perEvent})`,
    rows: sorted.map(([where, us]) => ({ where, ms: us / 1000, share: us / total })),
  };
}

function stageOfFrame({ functionName, url }: { functionName: string; url: string }): string {
  if (functionName === '(idle)') return 'idle';
  if (functionName === '(garbage collector)') return 'garbage collection';
  if (functionName === '(program)') return 'native code and system calls';
  const stage = ours.exec(url)?.[1];
  if (stage !== undefined) return stage;
  const library = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1];
  if (library !== undefined) return library;
  if (url.startsWith('node:')) return 'node';
  return url === '' ? `built in: ${functionName || 'anonymous'}` : 'other';
}
