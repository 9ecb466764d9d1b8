// What the processor costs: thread time per event without a transformation, with one destination (row X1), what each
// further destination adds that filters the event (X3), and what a small transformation adds (X2), in the processor's
// own thread and in that of the sandbox. The router is left to a consumer in another thread.

import type { SourceSpec } from '../test/support/workspace-file.ts';
import { atMost, figure } from './harness/figures.ts';
import { inTurns } from './harness/in-turns.ts';
import { count, rounds } from './harness/options.ts';
import { defineScenario, type Measurement } from './harness/scenario.ts';
import { StageCpu } from './storage/stage-cpu.ts';
import { rowsPerFrame, snapshotOf, stageFrames, stageRate } from './storage/stage-ground.ts';
import type { StorageBench } from './storage/storage-bench.ts';
import { openGround, type StorageGround, storageDefaults } from './storage/storage-ground.ts';

const eventMicrosMax = 25;
const filteredMicrosMax = 2;
const transformedMicrosMax = 60;
const url = 'http://127.0.0.1:9/';
/** Drops nothing, changes a few fields: what most transformations are. */
const smallCode = `
  export function transformEvent(event, metadata) {
    if (event.event === 'ping') return null;
    event.properties.source = metadata(event).sourceName;
    delete event.properties.email;
    event.context.transformed = true;
    return event;
  }`;

export const processor = defineScenario({
  name: 'processor',
  question: 'thread time per event, and what a filtered destination and a transformation add',
  rawLimit: '',
  peers: [],
  goalRows: ['X1', 'X2', 'X3'],
  options: {
    rounds: rounds(),
    jobs: count(100_000, 'events of one measurement'),
    sources: count(10, 'sources they come from', 100_000),
    filtered: count(20, 'X3: further destinations that filter every event', 1000),
    eventBytes: count(1024, 'size of an event', 100_000),
  },
  quick: { rounds: 2, jobs: 40_000 },
  async measure(run): Promise<Measurement> {
    const { options, say } = run;
    const ground = await openGround(run, { ...storageDefaults, ...options, partitions: 1 });
    const cpu = new StageCpu(run.cleanup);
    const rates: number[] = [];
    const storageMicros: number[] = [];
    const checks: Measurement['checks'][number][] = [];
    const microsWith = (filtered: number, code?: string) => async (): Promise<number> => {
      const bench = await startProcessor(ground, options.sources, filtered, code);
      const busyMs = (): number =>
        (cpu.busyMs('actors') ?? 0) + (code === undefined ? 0 : (cpu.busyMs('sandbox') ?? 0));
      const { lanes } = ground.settingsWith([]).storage;
      const targets = Array.from({ length: options.sources }, (_, index) => ({
        partition: `s${index}`,
        sourceId: `s${index}`,
        destinationId: '',
      }));
      const frames = stageFrames('gw', targets, { lanes, eventBytes: options.eventBytes });
      // A cold engine compiles: the first events are not what an event costs.
      await stageRate(bench, 'gw', frames, Math.ceil(options.jobs / 4));
      const [before, storageBefore] = [busyMs(), cpu.busyMs('storage') ?? 0];
      const rate = await stageRate(bench, 'gw', frames, options.jobs);
      // stageRate stores whole frames: a little more than was asked for.
      const events = Math.ceil(options.jobs / rowsPerFrame) * rowsPerFrame;
      const micros = ((busyMs() - before) * 1000) / events;
      if (filtered === 0 && code === undefined) {
        rates.push(rate);
        storageMicros.push((((cpu.busyMs('storage') ?? 0) - storageBefore) * 1000) / events);
      }
      for (const { name, faults } of await bench.checks())
        checks.push({ name: `${filtered} filtered${code === undefined ? '' : ', transformed'}: ${name}`, faults });
      await bench.stop();
      return micros;
    };
    const [one, more] = ['X1 one destination', `one destination and ${options.filtered} that filter`];
    const transformed = 'one destination with a small transformation';
    const measured = await inTurns(
      [
        { name: one, run: microsWith(0) },
        { name: more, run: microsWith(options.filtered) },
        { name: transformed, run: microsWith(0, smallCode) },
      ],
      { rounds: options.rounds, onRound: (round, name) => say(`round ${round} of ${options.rounds}: ${name}`) },
    );
    const [alone, among] = [measured.get(one) ?? [], measured.get(more) ?? []];
    const through = measured.get(transformed) ?? [];
    const onTop = through.map((micros, round) => micros - (alone[round] ?? 0));
    const added = alone.map((micros, round) => ((among[round] ?? 0) - micros) / options.filtered);
    return {
      settings: { fsync: 'on', synchronousCommit: 'on', dedup: 'off' },
      figures: [
        figure(`${one}: thread time per event`, 'µs', 'lower', alone),
        figure(`${more}: thread time per event`, 'µs', 'lower', among),
        figure(`${one}: storage thread time per event`, 'µs', 'lower', storageMicros, 'fact'),
        figure(`${transformed}: thread time per event, sandbox included`, 'µs', 'lower', through),
        figure('X2 the transformation on top', 'µs', 'lower', onTop),
        figure('X3 each filtered destination', 'µs', 'lower', added),
        figure(`${one}: events processed`, 'events/s', 'higher', rates),
      ],
      goals: [
        atMost('X1', 'thread time per event, no transformation, one destination', eventMicrosMax, alone, 'µs'),
        atMost('X2', 'a small sandboxed transformation, on top', transformedMicrosMax, onTop, 'µs'),
        atMost('X3', 'each further destination that filters the event', filteredMicrosMax, added, 'µs'),
      ],
      checks,
    };
  },
});

function startProcessor(
  ground: StorageGround,
  sources: number,
  filtered: number,
  code: string | undefined,
): Promise<StorageBench> {
  const specs = Array.from({ length: sources }, (_, source): SourceSpec => {
    const ids = [`d${source}`, ...Array.from({ length: filtered }, (__, index) => `filtered-${source}-${index}`)];
    return {
      id: `s${source}`,
      writeKey: `w${source}`,
      destinations: ids.map((id) => (code === undefined ? { id, url } : { id, url, code })),
    };
  });
  const workspace = snapshotOf(specs);
  for (const destination of workspace.sources.flatMap((source) => source.destinations)) {
    if (!destination.id.startsWith('filtered-')) continue;
    // Our events are of another type.
    destination.destinationDefinition.config.supportedMessageTypes = ['identify'];
  }
  return ground.startBench({ stages: { real: ['processor'], workspace } });
}
