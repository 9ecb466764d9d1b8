// Opens a sandbox of an engine for tests, with small limits and a host whose fetch is the test's own.

import type { TransformItem, TransformOutcome } from '../../actors/transformations/contract.ts';
import type {
  Sandbox,
  SandboxEngine,
  SandboxHost,
  SandboxLimits,
  SandboxProgram,
  SandboxResult,
} from '../../actors/transformations/sandbox-engine.ts';
import { threadCpuClock } from '../../transport/index.ts';

export const testLimits: SandboxLimits = {
  cpuMs: 150,
  loadMs: 1_000,
  wallMs: 5_000,
  memoryBytes: 16 * 1024 * 1024,
  outputLength: 100_000,
  logLength: 1_000,
};

export interface SandboxOptions extends Partial<Omit<SandboxProgram, 'code'>> {
  limits?: Partial<SandboxLimits>;
  fetch?: SandboxHost['fetch'];
  logs?: string[];
}

export function openSandbox(engine: SandboxEngine, code: string, options: SandboxOptions = {}): Promise<Sandbox> {
  const { name = 'mask email', libraries = new Map(), credentials = {}, limits, fetch, logs = [] } = options;
  const host: SandboxHost = {
    monotonicMs: () => performance.now(),
    cpuMs: threadCpuClock(),
    after: (ms, run) => {
      const timer = setTimeout(run, ms);
      return () => clearTimeout(timer);
    },
    log: (text) => logs.push(text),
    fetch,
  };
  return engine.open({ name, code, libraries, credentials }, { ...testLimits, ...limits }, host);
}

export function itemOf(event: object, metadata: object = {}): TransformItem {
  return { event: JSON.stringify(event), metadata: JSON.stringify(metadata) };
}

/** What a customer sees of an outcome: parsed outputs, or the reason, or `filtered`. */
export function shown(outcome: TransformOutcome | null | undefined): unknown {
  if (outcome === undefined || outcome === null) return undefined;
  if (outcome.failure !== undefined && outcome.outputs.length === 0) return outcome.failure.reason;
  const outputs = outcome.outputs.map((text): unknown => JSON.parse(text));
  return outputs.length === 0 ? 'filtered' : outputs;
}

export async function callEach(sandbox: Sandbox, events: readonly object[]): Promise<unknown[]> {
  const results: unknown[] = [];
  for (const event of events) {
    const result: SandboxResult = await sandbox.call([itemOf(event)]);
    results.push(shown(result.outcomes[0]));
  }
  return results;
}
