// The simulation as a program: `npm run simulate -- --seeds N [--seed S]`. A failure prints what happened last, what did
// not hold, and the one command that replays it.

import { parseArgs } from 'node:util';
import { runSimulation } from './simulate.ts';

const seedsDefault = 200;

const { values } = parseArgs({ options: { seeds: { type: 'string' }, seed: { type: 'string' } } });
const first = Number(values.seed ?? 1);
const count = Number(values.seeds ?? (values.seed === undefined ? seedsDefault : 1));
if (!Number.isInteger(first) || !Number.isInteger(count) || count < 1) {
  throw new TypeError(`expected --seeds and --seed to be whole numbers, got ${values.seeds} and ${values.seed}`);
}
const totals = { steps: 0, kills: 0, moves: 0, deliveries: 0, asks: 0 };
let failed = 0;
for (let seed = first; seed < first + count && failed === 0; seed += 1) {
  const result = await runSimulation(seed);
  for (const name of ['steps', 'kills', 'moves', 'deliveries', 'asks'] as const) totals[name] += result[name];
  if (result.violations.length === 0) continue;
  failed += 1;
  const report = [...result.lastEvents, '', `seed ${seed} failed:`, ...result.violations.slice(0, 20)];
  process.stderr.write(`${report.join('\n')}\nreplay: npm run simulate -- --seeds 1 --seed ${seed}\n`);
}
process.exitCode = failed === 0 ? 0 : 1;
if (failed === 0) process.stdout.write(`${JSON.stringify({ first, seeds: count, violations: 0, ...totals })}\n`);
