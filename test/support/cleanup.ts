// What a support file needs of a test: a promise that its work is undone at the end, also after a failure. A benchmark
// or the crash loop, which have no test context, bring a list of their own.

import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Cleanup {
  after(work: () => void | Promise<void>): void;
}

/** For scripts: runs the work in reverse order when asked to, and goes on after a failure. */
export class CleanupList implements Cleanup {
  readonly #work: (() => void | Promise<void>)[] = [];

  after(work: () => void | Promise<void>): void {
    this.#work.push(work);
  }

  async run(): Promise<void> {
    const errors: unknown[] = [];
    for (let work = this.#work.pop(); work !== undefined; work = this.#work.pop()) {
      try {
        await work();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, 'cleaning up failed');
  }
}

const lists = new WeakMap<Cleanup, CleanupList>();

/**
 * The same promise kept in reverse order, which a test context does not do: a program must be gone before its folder.
 */
export function lastFirst(cleanup: Cleanup): CleanupList {
  if (cleanup instanceof CleanupList) return cleanup;
  const known = lists.get(cleanup);
  if (known !== undefined) return known;
  const list = new CleanupList();
  lists.set(cleanup, list);
  cleanup.after(() => list.run());
  return list;
}

/** A folder that others may enter, because Postgres may have to run as another user; removed at the end. */
export async function temporaryFolder(cleanup: Cleanup): Promise<string> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'sluice-e2e-')));
  lastFirst(cleanup).after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  await chmod(folder, 0o755);
  return folder;
}
