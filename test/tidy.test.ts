// Style rules that a test can hold: boundaries, sizes, banned words, names, headers. Each runs over the repository and
// over a small text it must reject, because a rule that rejects nothing looks exactly like a tidy repository.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type RepositoryFile, readFiles, topLevelNames } from './support/repository.ts';
import {
  type FileRule,
  fileLinesMax,
  fileLinesWarn,
  findCycle,
  functionLinesMax,
  isNamedWell,
  keepsFunctionsShort,
  keepsSiblingsApart,
  keepsThirdPartiesInPlace,
  leavesEffectsToTheSeams,
  leavesNothingUndone,
  lineCount,
  migrationObjections,
  neverSleepsInTests,
  respectsLayers,
  runsEveryTest,
  startsWithItsPurpose,
  staysFlat,
  staysSmall,
  strayTopLevelNames,
} from './support/tidy-rules.ts';

interface RuleCase {
  name: string;
  rule: FileRule;
  rejected: RepositoryFile[];
  accepted: RepositoryFile[];
}

const sources = readFiles(['transport', 'runtime', 'actors', 'bench', 'test'], ['.ts']);
const migrations = readFiles(['actors/storage/migrations'], ['.sql']);

const file = (path: string, ...lines: string[]): RepositoryFile => ({ path, text: `${lines.join('\n')}\n` });
const linesOf = (count: number, line: string): string[] => Array.from({ length: count }, () => line);

const boundaryCases: RuleCase[] = [
  {
    name: 'imports point downwards, and across layers only at index.ts',
    rule: respectsLayers,
    rejected: [
      file('transport/link.ts', "import { a } from '../runtime/index.ts';"),
      file('runtime/cell.ts', "import type { A } from '../actors/job.ts';"),
      file('runtime/cell.ts', "export { a } from '../transport/codec.ts';"),
      file('actors/storage/jobs.ts', "const a = await import('../../transport/postgres.ts');"),
      file('actors/main.ts', "import { a } from '../test/support/program.ts';"),
      file('actors/main.ts', "import '../package.json';"),
    ],
    accepted: [
      file('actors/storage/jobs.ts', "import { a } from '../../transport/index.ts';", "import { b } from '../job.ts';"),
      file(
        'runtime/cell.ts',
        "// from '../actors/job.ts'",
        'const text = "import a from \'../actors/job.ts\'".length;',
      ),
      file('bench/main.ts', "import { a } from '../runtime/cell.ts';"),
    ],
  },
  {
    name: 'folders of actors/ meet only at their contracts',
    rule: keepsSiblingsApart,
    rejected: [
      file('actors/router/delivery.ts', "import { a } from '../processor/pipeline.ts';"),
      file('actors/gateway/routes.ts', "import { a } from '../main.ts';"),
      file('actors/services/workspace.ts', "import { a } from '../router/ordering.ts';"),
    ],
    accepted: [
      file(
        'actors/router/delivery.ts',
        "import { a } from '../storage/contract.ts';",
        "import { b } from './ordering.ts';",
      ),
      file('actors/processor/pipeline.ts', "import { a } from '../destinations/destination.ts';"),
      file('actors/definitions.ts', "import { a } from './router/router-actor.ts';"),
    ],
  },
  {
    name: 'third parties stay in the files that wrap them',
    rule: keepsThirdPartiesInPlace,
    rejected: [
      file('runtime/cell.ts', "import { pack } from 'msgpackr';"),
      file('actors/storage/jobs.ts', "import pgPromise from 'pg-promise';"),
      file('runtime/telemetry.ts', "import { trace } from '@opentelemetry/api';"),
      file('actors/main.ts', "import lodash from 'lodash';"),
    ],
    accepted: [
      file('transport/codec.ts', "import { Packr } from 'msgpackr';"),
      file('runtime/tracing.ts', "import { trace } from '@opentelemetry/api';", "import { a } from 'node:path';"),
    ],
  },
];

const shapeCases: RuleCase[] = [
  {
    name: `files have at most ${fileLinesMax} lines`,
    rule: staysSmall,
    rejected: [file('runtime/a.ts', ...linesOf(fileLinesMax + 1, ''))],
    accepted: [file('runtime/a.ts', ...linesOf(fileLinesMax, ''))],
  },
  {
    name: `functions have at most ${functionLinesMax} lines`,
    rule: keepsFunctionsShort,
    rejected: [
      file('runtime/a.ts', 'export function long(): void {', ...linesOf(functionLinesMax, '  work();'), '}'),
      file('runtime/a.ts', 'const long = async () => {', ...linesOf(functionLinesMax, '  work();'), '};'),
      file(
        'runtime/a.ts',
        'class A {',
        '  long(): Map<string, A> {',
        ...linesOf(functionLinesMax, 'work();'),
        '  }',
        '}',
      ),
    ],
    accepted: [
      file(
        'runtime/a.ts',
        'interface A {',
        '}',
        'export class Long {',
        ...linesOf(functionLinesMax, '  work(): void {}'),
        '}',
      ),
      file('runtime/a.ts', 'const table = {', ...linesOf(functionLinesMax, '  row: 1,'), '};'),
      file('runtime/a.ts', 'const text = `', ...linesOf(functionLinesMax, '  {'), '`;'),
    ],
  },
  {
    name: 'blocks nest less than four deep',
    rule: staysFlat,
    rejected: [
      file(
        'runtime/a.ts',
        'function f() {',
        'if (a) {',
        'for (;;) {',
        'while (b) {',
        'if (c) {',
        '}',
        '}',
        '}',
        '}',
        '}',
      ),
    ],
    accepted: [file('runtime/a.ts', 'function f() {', 'if (a) {', 'for (;;) {', 'if (c) {', '}', '}', '}', '}')],
  },
  {
    name: 'every file starts by saying what it is for',
    rule: startsWithItsPurpose,
    rejected: [file('runtime/a.ts', "import { a } from './b.ts';"), file('runtime/a.ts', '// Things')],
    accepted: [
      file(
        'actors/main.ts',
        '#!/usr/bin/env node',
        '// The composition root: reads the settings and starts the threads.',
      ),
    ],
  },
  {
    name: 'files have kebab-case names that say something',
    rule: isNamedWell,
    rejected: [
      file('runtime/stringUtils.ts', ''),
      file('runtime/string-utils.ts', ''),
      file('actors/helpers/a.ts', ''),
      file('runtime/actor-manager.ts', ''),
    ],
    accepted: [
      file('actors/services/file-manager.ts', ''),
      file('test/tidy.test.ts', ''),
      file('actors/storage/migrations/0001-jobs.sql', ''),
    ],
  },
];

const habitCases: RuleCase[] = [
  {
    name: 'time, chance and the environment come through the seams',
    rule: leavesEffectsToTheSeams,
    rejected: [
      file('runtime/cell.ts', 'const now = Date.now();'),
      file('runtime/cell.ts', 'const now = new Date();'),
      file('actors/router/delivery.ts', 'setTimeout(() => retry(), 10);'),
      file('actors/router/delivery.ts', 'const jitter = Math.random();'),
      file('actors/router/delivery.ts', 'const home = `$' + '{process.env.HOME}`;'),
      file('runtime/scheduler.ts', 'const at = performance.now();'),
    ],
    accepted: [
      file('runtime/seams.ts', 'const now = Date.now();'),
      file('transport/http-client.ts', 'setTimeout(() => abort(), 10);'),
      file(
        'runtime/cell.ts',
        '// never Date.now()',
        "const text = 'Math.random()';",
        'const at = new Date(clock.now());',
      ),
    ],
  },
  {
    name: 'tests wait on signals, never by the clock',
    rule: neverSleepsInTests,
    rejected: [
      file('test/runtime/cell.test.ts', 'await new Promise((resolve) => setTimeout(resolve, 10));'),
      file('test/runtime/cell.test.ts', `import { setTimeout as sleep } from 'node:timers${'/'}promises';`),
    ],
    accepted: [
      file('test/support/deadline.ts', 'setTimeout(reject, 10);'),
      file('runtime/seams.ts', 'setTimeout(run, 10);'),
    ],
  },
  {
    name: 'no test is focused, skipped or put off',
    rule: runsEveryTest,
    rejected: [
      file('test/a.test.ts', "test.only('a', () => {});"),
      file('test/a.test.ts', "describe.skip('a', () => {});"),
      file('test/a.test.ts', "test('a', { todo: true }, () => {});"),
    ],
    accepted: [file('test/a.test.ts', "test('a', () => { only.skip(); });")],
  },
  {
    name: 'nothing is left undone without an issue number',
    rule: leavesNothingUndone,
    rejected: [file('runtime/a.ts', '// TODO make this work'), file('runtime/a.ts', '/* FIXME */')],
    accepted: [
      file('runtime/a.ts', '// TODO(issue 12) take the other road'),
      file('runtime/a.ts', "const text = 'TODO';"),
    ],
  },
];

for (const { name, rule, rejected, accepted } of [...boundaryCases, ...shapeCases, ...habitCases]) {
  describe(name, () => {
    test('holds in this repository', () => {
      const found = sources.flatMap(rule).map(({ path, line, text }) => `${path}:${line} ${text}`);
      assert.deepEqual(found, []);
    });
    test('rejects what breaks it and nothing else', () => {
      for (const example of rejected)
        assert.notDeepEqual(rule(example), [], `expected an objection to:\n${example.text}`);
      for (const example of accepted) assert.deepEqual(rule(example), []);
    });
  });
}

test('there are files to look at', () => {
  assert.ok(sources.length > 50, `expected the sources to be found, got ${sources.length} files`);
});

test('no import cycles, and a cycle would be found', () => {
  assert.equal(findCycle(sources)?.join(' -> '), undefined);
  const cycle = [
    file('runtime/a.ts', "import { b } from './b.ts';"),
    file('runtime/b.ts', "import type { c } from './c.ts';"),
    file('runtime/c.ts', "export { a } from './a.ts';"),
  ];
  assert.deepEqual(findCycle(cycle), ['runtime/a.ts', 'runtime/b.ts', 'runtime/c.ts', 'runtime/a.ts']);
});

test('migrations have numbers of their own and ways back', () => {
  assert.deepEqual(migrationObjections(migrations.map(({ path }) => path.slice(path.lastIndexOf('/') + 1))), []);
  assert.deepEqual(migrationObjections(['0001-jobs.sql', '0003-late.sql', '0003-late.down.sql']), []);
  assert.equal(migrationObjections(['0001-jobs.sql', '0002-late.sql']).length, 1);
  assert.equal(migrationObjections(['0001-again.sql', '0001-jobs.sql', '0001-jobs.down.sql']).length, 1);
  assert.equal(migrationObjections(['1-jobs.sql']).length, 1);
});

test('the top level holds the layers, the tests and nothing else', () => {
  assert.deepEqual(strayTopLevelNames(topLevelNames()), []);
  assert.deepEqual(strayTopLevelNames(['runtime', 'scripts', 'notes.md']), ['scripts', 'notes.md']);
});

test('long files are listed, as a warning', (t) => {
  for (const source of sources) {
    if (lineCount(source) > fileLinesWarn) t.diagnostic(`${source.path} has ${lineCount(source)} lines`);
  }
});
