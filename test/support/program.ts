// The built program as a child process: started in a folder of its own on free ports, watched, stopped or killed, and
// cleaned up after with its PostgreSQL even when the test failed half-way.

import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { join } from 'node:path';
import { type Cleanup, lastFirst, temporaryFolder } from './cleanup.ts';
import { killPostmaster } from './embedded-cluster.ts';
import { freePorts } from './free-ports.ts';
import { pollUntil, within } from './poll.ts';
import { programPath } from './repository.ts';

export interface ProgramOptions {
  /** Default: a new folder, removed at the end. */
  dataDir?: string;
  workspaceFile?: string;
  gatewayPort?: number;
  adminPort?: number;
  receiverPort?: number;
  /** Where a `sluice.yaml` would be found. Default: an empty folder. */
  workingFolder?: string;
  /** Beyond the ports, the data folder and the workspace file. */
  env?: Readonly<Record<string, string>>;
  args?: readonly string[];
  /** Default: the program that was built with the tests. */
  path?: string;
}

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

const readyMs = 60_000;
const exitMs = 40_000;
const outputCharactersMax = 4 * 1024 * 1024;
/** Nothing else of our own environment reaches the program: a developer's settings must not change a test. */
const inherited = ['PATH', 'HOME', 'LANG', 'TMPDIR', 'USER'];

export class Program {
  readonly options: Required<Omit<ProgramOptions, 'workspaceFile'>> & Pick<ProgramOptions, 'workspaceFile'>;
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  readonly #events = new EventEmitter();
  readonly #cleanup: Cleanup;
  #output = '';

  constructor(cleanup: Cleanup, options: Program['options']) {
    this.#cleanup = cleanup;
    this.options = options;
    this.#child = spawn(process.execPath, ['--enable-source-maps', options.path, 'start', ...options.args], {
      env: environmentOf(options),
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: options.workingFolder,
    });
    this.exited = once(this.#child, 'exit').then(([code, signal]) => ({ code, signal }));
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8');
      stream?.on('data', (text: string) => this.#append(text));
    }
    lastFirst(cleanup).after(async () => {
      await this.kill();
      await killPostmaster(options.dataDir);
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get dataDir(): string {
    return this.options.dataDir;
  }

  get gatewayUrl(): string {
    return `http://127.0.0.1:${this.options.gatewayPort}`;
  }

  get adminUrl(): string {
    return `http://127.0.0.1:${this.options.adminPort}`;
  }

  /** Both streams, as they came. */
  get output(): string {
    return this.#output;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async waitReady(): Promise<this> {
    const ready = pollUntil(
      'the program to be ready',
      async () => {
        if (!this.isRunning) return false;
        const response = await fetch(`${this.adminUrl}/readyz`);
        await response.arrayBuffer();
        return response.status === 200 ? true : undefined;
      },
      readyMs,
    );
    const isReady = await ready.catch((cause: unknown) => {
      throw new Error(`the program did not become ready:\n${this.lastOutput()}`, { cause });
    });
    if (!isReady) throw new Error(`the program ended before it was ready:\n${this.lastOutput()}`);
    return this;
  }

  /** Resolves with the match as soon as the output holds one, also one that is there already. */
  async waitForOutput(pattern: RegExp, deadlineMs = 30_000): Promise<RegExpExecArray> {
    const found = pattern.exec(this.#output);
    if (found !== null) return found;
    const matched = new Promise<RegExpExecArray>((resolve) => {
      const look = (): void => {
        const match = pattern.exec(this.#output);
        if (match === null) return;
        this.#events.off('output', look);
        resolve(match);
      };
      this.#events.on('output', look);
    });
    return within(() => `output that matches ${pattern}, got:\n${this.lastOutput()}`, deadlineMs, matched);
  }

  /** SIGTERM; the exit after the drain. */
  async stop(): Promise<Exit> {
    this.#child.kill('SIGTERM');
    return this.waitForExit();
  }

  async waitForExit(deadlineMs = exitMs): Promise<Exit> {
    return within(() => `the program to exit, got:\n${this.lastOutput()}`, deadlineMs, this.exited);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** SIGKILL: nothing of ours runs afterwards, as after a crash. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exited;
  }

  /** The same program again: data folder, ports and settings. */
  again(changes: ProgramOptions = {}): Program {
    return new Program(this.#cleanup, { ...this.options, ...changes });
  }

  lastOutput(): string {
    return this.#output.slice(-6_000);
  }

  async json(path: string): Promise<unknown> {
    const response = await fetch(`${this.adminUrl}${path}`);
    if (!response.ok) throw new Error(`expected ${path} to answer 200, got ${response.status}`);
    return response.json();
  }

  #append(text: string): void {
    this.#output = (this.#output + text).slice(-outputCharactersMax);
    this.#events.emit('output');
  }
}

/** Spawned, not ready yet. */
export async function startProgram(cleanup: Cleanup, options: ProgramOptions = {}): Promise<Program> {
  const [gatewayPort = 0, adminPort = 0, receiverPort = 0] = await freePorts(3);
  const workingFolder = options.workingFolder ?? (await temporaryFolder(cleanup));
  const dataDir = options.dataDir ?? join(workingFolder, 'data');
  const ports = { gatewayPort, adminPort, receiverPort };
  return new Program(cleanup, { ...ports, env: {}, args: [], path: programPath(), ...options, dataDir, workingFolder });
}

function environmentOf(options: Program['options']): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => inherited.includes(name));
  return {
    ...Object.fromEntries(own),
    SLUICE_DATA_DIR: options.dataDir,
    // Hundreds of megabytes for every program that a test starts would wear the disk for nothing.
    SLUICE_STORAGE_BALLAST_BYTES: '0',
    SLUICE_GATEWAY_PORT: String(options.gatewayPort),
    SLUICE_ADMIN_PORT: String(options.adminPort),
    SLUICE_EGRESS_ALLOW: 'localhost, 127.0.0.0/8',
    SLUICE_STARTER_RECEIVER_PORT: String(options.receiverPort),
    ...(options.workspaceFile === undefined ? {} : { SLUICE_WORKSPACE_FILE: options.workspaceFile }),
    ...options.env,
  };
}
