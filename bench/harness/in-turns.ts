// Measures several things round by round, each next to the others, so that a slow minute of the machine is everybody's.
// Every second round runs backwards: what grows or wears with time then favours nobody.

export interface Measure {
  name: string;
  run(): Promise<number> | number;
}

export interface Turns {
  rounds: number;
  /** Rounds before those that count. */
  warmUpRounds?: number;
  /** Told before each. */
  onRound?(round: number, name: string): void;
}

/** The value of each round by name. */
export async function inTurns(measures: readonly Measure[], turns: Turns): Promise<Map<string, number[]>> {
  const values = new Map<string, number[]>(measures.map(({ name }) => [name, []]));
  const warmUp = turns.warmUpRounds ?? 0;
  for (let round = 0; round < warmUp + turns.rounds; round += 1) {
    for (const { name, run } of round % 2 === 0 ? measures : measures.toReversed()) {
      turns.onRound?.(round - warmUp + 1, name);
      const value = await run();
      if (round >= warmUp) values.get(name)?.push(value);
    }
  }
  return values;
}
