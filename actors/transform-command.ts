// The command transform test: runs a file of customers' code over events in the very sandbox of the running program, in
// this process, and says what came out, what it logged and what it took. Needs no program and no database.

import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Clock } from '../runtime/index.ts';
import { createEgressGuard, threadCpuClock } from '../transport/index.ts';
import { exitCodes, type TransformParameters } from './cli.ts';
import type { Settings } from './config.ts';
import type { TransformItem, TransformOutcome } from './transformations/contract.ts';
import { quickJsEngine } from './transformations/quickjs-engine.ts';
import { ProgramError, type Sandbox, type SandboxProgram } from './transformations/sandbox-engine.ts';
import { createSandboxFetch } from './transformations/sandbox-fetch.ts';

export interface TransformCommandOptions extends TransformParameters {
  settings: Pick<Settings, 'transformations' | 'egress'>;
  clock: Clock;
}

export interface TransformCommandOutput {
  exitCode: number;
  out: string;
  problem: string;
}

/** What became of one event, as `--json` prints it. */
interface Shown {
  outputs: unknown[];
  failure?: string;
  logs: string[];
  cpuMs: number;
}

class UnreadableFile extends Error {}

const loadMsMax = 1_000;

export async function runTransformCommand(options: TransformCommandOptions): Promise<TransformCommandOutput> {
  const bad = (exitCode: number, problem: string): TransformCommandOutput => ({ exitCode, out: '', problem });
  let sandbox: Sandbox | undefined;
  try {
    const events = await readEvents(options.eventPath);
    const program = await readProgram(options);
    const logs: string[] = [];
    sandbox = await openSandbox(program, options, logs);
    const shown = await runAll(sandbox, events, logs, options.clock);
    const isGood = shown.every(({ failure }) => failure === undefined);
    const out = options.json ? `${JSON.stringify(shown, null, 2)}\n` : shown.map(textOf).join('');
    return { exitCode: isGood ? exitCodes.ok : exitCodes.found, out, problem: '' };
  } catch (error) {
    if (error instanceof UnreadableFile) return bad(exitCodes.usage, `${error.message}\n`);
    if (error instanceof ProgramError) return bad(exitCodes.found, `${options.codePath}: ${error.message}\n`);
    throw error;
  } finally {
    sandbox?.dispose();
  }
}

function openSandbox(
  program: SandboxProgram,
  { settings, clock }: TransformCommandOptions,
  logs: string[],
): Promise<Sandbox> {
  const { cpuMsMax, wallMsMax, memoryBytesMax, outputBytesMax, logBytesMax } = settings.transformations;
  const limits = {
    cpuMs: cpuMsMax,
    loadMs: loadMsMax,
    wallMs: wallMsMax,
    memoryBytes: memoryBytesMax,
    outputLength: outputBytesMax,
    logLength: logBytesMax,
  };
  return quickJsEngine.open(program, limits, {
    monotonicMs: () => clock.monotonicMs(),
    cpuMs: threadCpuClock(),
    after: (ms, run) => {
      const timer = clock.setTimer(ms, run);
      return () => timer.cancel();
    },
    log: (text) => logs.push(text),
    fetch: createSandboxFetch(createEgressGuard({ allow: settings.egress.allow }), 'test', wallMsMax),
  });
}

/** Event by event, or all at once where the code wants them so; a sandbox that is spent ends the test. */
async function runAll(
  sandbox: Sandbox,
  events: readonly TransformItem[],
  logs: string[],
  clock: Clock,
): Promise<Shown[]> {
  const cpuMs = threadCpuClock() ?? (() => clock.monotonicMs());
  const calls = sandbox.mode === 'batch' ? [events] : events.map((event) => [event]);
  const shown: Shown[] = [];
  for (const items of calls) {
    const beganMs = cpuMs();
    const { outcomes } = await sandbox.call(items);
    const tookMs = Math.round(((cpuMs() - beganMs) / items.length) * 1000) / 1000;
    const own = logs.splice(0);
    for (const [index, outcome] of outcomes.entries()) shown.push(shownOf(outcome, index === 0 ? own : [], tookMs));
    if (sandbox.isSpent) break;
  }
  return shown;
}

function shownOf({ outputs, failure }: TransformOutcome, logs: string[], cpuMs: number): Shown {
  const values = outputs.map((text): unknown => JSON.parse(text));
  return { outputs: values, ...(failure === undefined ? {} : { failure: failure.reason }), logs, cpuMs };
}

function textOf({ outputs, failure, logs, cpuMs }: Shown, index: number): string {
  const verdict = failure !== undefined ? `failed: ${failure}` : outputs.length === 0 ? 'filtered' : 'passed on';
  const lines = [`event ${index + 1}: ${verdict} (${cpuMs} ms)`, ...logs.map((text) => `  log: ${text}`)];
  for (const output of outputs) lines.push(JSON.stringify(output, null, 2));
  return `${lines.join('\n')}\n`;
}

async function readProgram({ codePath, librariesPath, credentialsPath }: TransformParameters): Promise<SandboxProgram> {
  const libraries = new Map<string, string>();
  const files = librariesPath === undefined ? [] : await readdir(librariesPath).catch(refuse(librariesPath));
  for (const file of files) {
    if (file.endsWith('.js')) libraries.set(basename(file, '.js'), await readText(join(librariesPath ?? '', file)));
  }
  const credentials = credentialsPath === undefined ? {} : readObject(await readText(credentialsPath), credentialsPath);
  return {
    name: basename(codePath),
    code: await readText(codePath),
    libraries,
    credentials: Object.fromEntries(Object.entries(credentials).map(([name, value]) => [name, String(value)])),
  };
}

async function readEvents(path: string): Promise<TransformItem[]> {
  const value = parse(await readText(path), path);
  const events = Array.isArray(value) ? value : [value];
  return events.map((event: unknown, index): TransformItem => {
    if (typeof event !== 'object' || event === null || Array.isArray(event)) {
      throw new UnreadableFile(`${path}: expected event ${index + 1} to be a JSON object`);
    }
    const own = { ...event };
    const messageId = 'messageId' in own ? own.messageId : `test-${index + 1}`;
    const metadata = {
      sourceId: 'test',
      sourceName: 'test',
      destinationId: 'test',
      destinationName: 'test',
      messageId,
      eventType: 'type' in own ? own.type : undefined,
      eventName: 'event' in own ? own.event : undefined,
    };
    return { event: JSON.stringify({ messageId, ...own }), metadata: JSON.stringify(metadata) };
  });
}

function readObject(text: string, path: string): object {
  const value = parse(text, path);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new UnreadableFile(`${path}: expected a JSON object`);
}

function parse(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UnreadableFile(
      `${path}: expected JSON, got ${error instanceof Error ? error.message : 'something else'}`,
    );
  }
}

function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(refuse(path));
}

function refuse(path: string): (error: unknown) => never {
  return (error) => {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    throw new UnreadableFile(`${path} cannot be read (${code})`);
  };
}
