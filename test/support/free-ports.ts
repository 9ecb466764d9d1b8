// Ports nobody listens on, for a program whose ports must be known before it starts. Taken from below the range that
// outgoing connections use, so that no client of a test running beside takes one between the check and the start.

import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

const lowest = 15_000;
const highest = 31_000;
const attemptsMax = 100;

export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  for (let attempt = 0; ports.size < count; attempt += 1) {
    if (attempt === attemptsMax) throw new Error(`expected ${count} free ports between ${lowest} and ${highest}`);
    const port = randomInt(lowest, highest);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, '0.0.0.0');
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
