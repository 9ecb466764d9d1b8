// `npm run bench -- <scenario> [--json FILE] [--picture FILE] [--seconds N] [--connections N] [--rounds N]`: runs one
// scenario, prints its settings, rows and goals, and writes the same as JSON, so that every
// change has a before and an after; some also draw a picture.

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Cleanup, CleanupList } from '../test/support/cleanup.ts';
import type { BenchOptions, BenchResult } from './bench-settings.ts';
import { measureIngest } from './ingest.ts';
import { measureMessaging } from './messaging.ts';
import { measurePipeline } from './pipeline.ts';
import { measureScheduling } from './scheduling.ts';

const scenarios: Readonly<Record<string, (cleanup: Cleanup, options: BenchOptions) => Promise<BenchResult>>> = {
  ingest: measureIngest,
  messaging: measureMessaging,
  pipeline: measurePipeline,
  scheduling: measureScheduling,
};

const usage = `usage: npm run bench -- <${Object.keys(scenarios).join('|')}> [--json FILE] [--picture FILE] [--seconds N] [--connections N] [--rounds N] [--warm-up-seconds N] [--event-bytes N]`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'string' },
      picture: { type: 'string' },
      seconds: { type: 'string', default: '5' },
      'warm-up-seconds': { type: 'string', default: '2' },
      connections: { type: 'string', default: '0' },
      rounds: { type: 'string', default: '3' },
      'event-bytes': { type: 'string', default: '1024' },
    },
  });
  const scenario = scenarios[positionals[0] ?? ''];
  if (scenario === undefined) {
    console.error(usage);
    return 2;
  }
  const cleanup = new CleanupList();
  try {
    const { picture, ...result } = await scenario(cleanup, {
      seconds: numberOf('seconds', values.seconds),
      warmUpSeconds: numberOf('warm-up-seconds', values['warm-up-seconds']),
      connections: numberOf('connections', values.connections),
      rounds: numberOf('rounds', values.rounds),
      eventBytes: numberOf('event-bytes', values['event-bytes']),
    });
    console.log(JSON.stringify(result.settings, null, 2));
    for (const row of result.rows) console.log(JSON.stringify(row, null, 2));
    for (const goal of result.goals ?? []) console.log(JSON.stringify(goal));
    const record = { scenario: positionals[0], measuredAt: new Date().toISOString(), ...result };
    if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(record, null, 2)}\n`);
    if (values.picture !== undefined && picture !== undefined) writeFileSync(values.picture, picture);
    return 0;
  } finally {
    await cleanup.run();
  }
}

function numberOf(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0)
    throw new Error(`expected --${name} to be a number of at least 0, got ${text}`);
  return value;
}

process.exitCode = await main();
