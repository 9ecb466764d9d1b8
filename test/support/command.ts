// A command of the built program that ends by itself, beside or without a running one.

import { spawn } from 'node:child_process';
import { programPath } from './repository.ts';

export interface CommandResult {
  exitCode: number | null;
  out: string;
  problem: string;
}

/** `environment` and the path are all it inherits. */
export function runCommand(
  parameters: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--enable-source-maps', programPath(), ...parameters], {
      env: { PATH: process.env.PATH ?? '', ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: '/',
    });
    let out = '';
    let problem = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      problem += text;
    });
    child.once('error', reject);
    child.once('close', (exitCode) => resolve({ exitCode, out, problem }));
  });
}
