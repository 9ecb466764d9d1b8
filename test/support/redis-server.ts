// A Redis server of a test's own, where the machine has one (Debian: redis-server); otherwise those tests say that they
// did not run and why.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import type { Cleanup } from './cleanup.ts';
import { freePorts } from './free-ports.ts';
import { pollUntil } from './poll.ts';

/** Undefined when there is no redis-server on this machine. `more`: arguments beside port and address. */
export async function startRedis(
  cleanup: Cleanup,
  more: readonly string[] = [],
): Promise<{ url: string; kill(): Promise<void> } | undefined> {
  if (spawnSync('redis-server', ['--version']).status !== 0) return undefined;
  const [port = 0] = await freePorts(1);
  const child = spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', '', ...more], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const exited = once(child, 'exit');
  let output = '';
  child.stdout.on('data', (text: Buffer) => {
    output += text.toString();
  });
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
  };
  cleanup.after(kill);
  await pollUntil('Redis to be ready', () => (output.includes('Ready to accept connections') ? true : undefined));
  return { url: `redis://127.0.0.1:${port}`, kill };
}
