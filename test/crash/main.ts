// `npm run crash`: kills Sluice and PostgreSQL at every crash point there is and says whether the promises held; with
// `--rounds N` it kills the whole program at random moments instead. A failure prints the command that repeats it.
//
//   npm run crash -- [--points GLOB] [--kinds self,postgres] [--seeds N] [--seed S] [--limit N] [--lanes N]
//   npm run crash -- --rounds N [--seed S]

import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { runMatrix } from './crash-matrix.ts';
import { runCrashRounds } from './crash-rounds.ts';
import type { CrashKind } from './crash-seam.ts';

const { values } = parseArgs({
  options: {
    points: { type: 'string', default: '*' },
    kinds: { type: 'string', default: 'self,postgres' },
    seeds: { type: 'string', default: '1' },
    seed: { type: 'string' },
    limit: { type: 'string' },
    lanes: { type: 'string', default: '2' },
    rounds: { type: 'string' },
  },
});
const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};
const seed = wholeNumber('seed', values.seed ?? String(randomInt(2 ** 31)));
const isGood =
  values.rounds === undefined ? await playMatrix() : await playRounds(wholeNumber('rounds', values.rounds));
if (!isGood) process.exitCode = 1;

async function playRounds(rounds: number): Promise<boolean> {
  print(`${rounds} rounds, seed ${seed}`);
  const faults = await runCrashRounds({ rounds, seed, print });
  for (const fault of faults) print(fault);
  if (faults.length > 0) print(`failed; the same choices again: npm run crash -- --rounds ${rounds} --seed ${seed}`);
  else print('every acknowledged event arrived, in order, and the ledger balances');
  return faults.length === 0;
}

async function playMatrix(): Promise<boolean> {
  const { points, kinds, seeds, lanes, limit } = values;
  const { played, missed, unreached, ...report } = await runMatrix({
    kinds: kinds.split(',').map(toKind),
    wanted: globFilter(points),
    seed,
    repeats: wholeNumber('seeds', seeds),
    lanes: wholeNumber('lanes', lanes),
    discoveriesMax: 4,
    ...(limit === undefined ? {} : { roundsMax: wholeNumber('limit', limit) }),
    print,
  });
  const faults = [...unreached, ...report.faults];
  for (const fault of faults) print(fault);
  for (const name of missed) print(`missed by chance: ${name}`);
  print(`${report.points} points, ${played} crashes, ${missed.length} missed by chance, ${faults.length} faults`);
  if (faults.length > 0) print(`one of them again: npm run crash -- --points '<point>' --kinds <kind> --seed ${seed}`);
  return faults.length === 0 && played > 0;
}

/** `*` stands for any text. */
function globFilter(glob: string): (point: string) => boolean {
  const escaped = glob.split('*').map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&'));
  const pattern = new RegExp(`^${escaped.join('.*')}$`);
  return (point) => pattern.test(point);
}

function toKind(kind: string): CrashKind {
  if (kind === 'self' || kind === 'postgres') return kind;
  throw new Error(`expected --kinds to be of self and postgres, got ${kind}`);
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new Error(`expected --${name} to be a whole number, got ${text}`);
  return value;
}
