// `npm run crash -- [--rounds N] [--seed S]`: kills the program over and over and says whether the promises held. A
// failure prints the seed and the command that repeats its choices.

import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { runCrashRounds } from './crash-rounds.ts';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '20' }, seed: { type: 'string' } } });
const rounds = Number(values.rounds);
const seed = Number(values.seed ?? randomInt(2 ** 31));
if (!Number.isInteger(rounds) || rounds < 1 || !Number.isInteger(seed)) {
  throw new Error(`expected --rounds and --seed to be whole numbers, got ${values.rounds} and ${values.seed}`);
}

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};
print(`${rounds} rounds, seed ${seed}`);
const faults = await runCrashRounds({ rounds, seed, print });
for (const fault of faults) print(fault);
if (faults.length > 0) {
  print(`failed; the same choices again: npm run crash -- --rounds ${rounds} --seed ${seed}`);
  process.exitCode = 1;
} else {
  print('every acknowledged event arrived, in order, and the ledger balances');
}
