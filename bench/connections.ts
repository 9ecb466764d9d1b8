// What connections cost that only stay open (row G5): every client that keeps one alive holds memory of the gateway, on
// both HTTP engines, also while it says nothing. Each has sent one event before, as those that wait in the field have.

import { connect, type Socket } from 'node:net';
import type { Cleanup } from '../test/support/cleanup.ts';
import { basic } from '../test/support/gateway-client.ts';
import type { Program } from '../test/support/program.ts';
import { benchWriteKey, durabilityOf, ledgerCheck, startBenchProgram, waitUntilDrained } from './bench-program.ts';
import { atMost, figure } from './harness/figures.ts';
import { count, names, rounds } from './harness/options.ts';
import { type Check, defineScenario, type Measurement, type Run } from './harness/scenario.ts';
import { residentMiB } from './program-memory.ts';

const engines = ['uws', 'node'];
const memoryMiBMax = 150;
/** At once; more would overflow the queue of connections that wait to be accepted. */
const openingMax = 200;
/** uws closes a connection after 10 s of silence: on a busy machine the first are gone before the last are open. */
const fillingMax = 5;

const options = {
  rounds: rounds(3),
  connections: count(10_000, 'keep-alive connections (mind `ulimit -n`, of this process and the program)', 60_000),
  engines: names(engines, 'HTTP engines of the gateway'),
};

export const connections = defineScenario({
  name: 'connections',
  question: 'memory of connections that are kept open and say nothing',
  rawLimit: '',
  peers: [],
  goalRows: ['G5'],
  options,
  quick: { rounds: 1, connections: 2_000 },
  async measure(run): Promise<Measurement> {
    const result = { figures: [] as Measurement['figures'], goals: [] as NonNullable<Measurement['goals']> };
    const checks: Check[] = [];
    let settings: object = {};
    for (const engine of run.options.engines) {
      const productFlags = [...run.productFlags, `--http.engine=${engine}`];
      const program = await startBenchProgram({ ...run, productFlags }, { destinations: [] });
      const { grown, lost } = await measureEngine(run, program, engine);
      const name = `${run.options.connections} idle connections, ${engine}`;
      result.figures = [...result.figures, figure(name, 'MiB', 'lower', grown)];
      const goal = atMost('G5', `memory of ${name}`, memoryMiBMax, grown, 'MiB');
      if (run.options.connections >= 10_000) result.goals = [...result.goals, goal];
      checks.push(
        { name: `all connections stay open (${engine})`, faults: lost },
        await ledgerCheck(run.cleanup, program),
      );
      settings = await durabilityOf(program);
      await program.stop();
    }
    return { settings, ...result, checks };
  },
});

async function measureEngine(
  {
    cleanup,
    options: { rounds: times, connections: wanted },
    say,
  }: Pick<Run<typeof options>, 'cleanup' | 'options' | 'say'>,
  program: Program,
  engine: string,
) {
  const [grown, lost]: [number[], string[]] = [[], []];
  // Code that was never run and memory that was never used are no cost of connections.
  closeAll(await openAll(cleanup, program, Math.min(wanted, 1_000)));
  for (let round = 1; round <= times; round += 1) {
    say(`${wanted} connections, ${engine}, round ${round} of ${times}`);
    await waitUntilDrained(program);
    const before = residentMiB(program.pid) ?? 0;
    let sockets: Socket[] = [];
    for (let filling = 0; filling < fillingMax && sockets.length < wanted; filling += 1) {
      sockets.push(...(await openAll(cleanup, program, wanted - sockets.length)));
      sockets = sockets.filter(({ readyState }) => readyState === 'open');
    }
    grown.push((residentMiB(program.pid) ?? 0) - before);
    if (sockets.length < wanted)
      lost.push(`round ${round}: ${wanted - sockets.length} were closed before all were open`);
    closeAll(sockets);
  }
  return { grown, lost };
}

async function openAll(cleanup: Cleanup, program: Program, wanted: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  cleanup.after(() => closeAll(sockets));
  const openNext = async (): Promise<void> => {
    while (sockets.length < wanted) await openOne(program, sockets);
  };
  await Promise.all(Array.from({ length: openingMax }, openNext));
  return sockets;
}

/** Resolves when its event is answered. */
async function openOne(program: Program, sockets: Socket[]): Promise<void> {
  const body = JSON.stringify({ userId: `u-${sockets.length}`, event: 'Seen' });
  const socket = connect(program.options.gatewayPort, '127.0.0.1');
  sockets.push(socket);
  const head = `POST /v1/track HTTP/1.1\r\nHost: gateway\r\nAuthorization: ${basic(benchWriteKey)}\r\n`;
  socket.write(`${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  await new Promise<void>((resolve, reject) => {
    socket.once('data', () => resolve());
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('expected an answer, got the end of the connection')));
  });
  // It may be ended by the other side from now on; the check tells.
  socket.removeAllListeners('error').on('error', () => undefined);
}

function closeAll(sockets: readonly Socket[]): void {
  for (const socket of sockets) socket.destroy();
}
