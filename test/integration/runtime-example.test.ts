// The example of the runtime in ARCHITECTURE.md is the code that runs here, to the letter.

import { strict as assert } from 'node:assert';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { repositoryRoot } from '../support/repository.ts';
import { countVisits } from './runtime-example.ts';

test('the example of the runtime does what it says', async () => {
  const ignore = () => undefined;
  assert.equal(await countVisits({ debug: ignore, info: ignore, warn: ignore, error: ignore }), 3);
});

test('ARCHITECTURE.md shows the example as it is', async () => {
  const shown = await readFile(join(repositoryRoot(), 'ARCHITECTURE.md'), 'utf8');
  for (const name of ['runtime-example-worker.ts', 'runtime-example.ts']) {
    const source = await readFile(join(repositoryRoot(), 'test/integration', name), 'utf8');
    const code = source.slice(source.indexOf('import '));
    assert.ok(
      shown.includes(`\`\`\`ts\n${code}\`\`\`\n`),
      `expected ARCHITECTURE.md to show ${name} from its imports on`,
    );
  }
});
