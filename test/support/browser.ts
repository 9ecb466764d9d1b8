// A real browser for tests: a headless Chromium of this machine that opens one page. What the page does it does itself,
// and it tells our server about it; so nothing has to be said to the browser but where to begin and when to end.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Cleanup, lastFirst, temporaryFolder } from './cleanup.ts';

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const outputCharactersMax = 100_000;

export interface Browser {
  /** What it had to say, for the message of a failure. */
  readonly output: string;
}

/** The path of a Chromium on this machine; undefined where there is none. */
export function findChromium(): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.flatMap((folder) => names.map((name) => join(folder, name))).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Opens the page in a profile of its own. */
export async function openPage(cleanup: Cleanup, chromium: string, url: string): Promise<Browser> {
  const profile = await temporaryFolder(cleanup);
  const quiet = ['--no-first-run', '--disable-extensions', '--disable-background-networking', '--disable-sync'];
  // Tests may run as root and in a container with a tiny /dev/shm, where Chromium starts only like this.
  const anywhere = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'];
  const child = spawn(chromium, [...anywhere, ...quiet, `--user-data-dir=${profile}`, url], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // Chromium is a family of processes: a group of its own, so that all of them can be ended.
    detached: true,
  });
  const browser = { output: '' };
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => {
      browser.output = (browser.output + text).slice(-outputCharactersMax);
    });
  }
  const closed = once(child, 'close');
  lastFirst(cleanup).after(async () => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
    await closed;
  });
  return browser;
}
