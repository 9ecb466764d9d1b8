// The style guide as functions: each rule takes files and returns what it objects to. tidy.test.ts runs them over the
// repository and proves each one on a text it must reject. What the linter states as well it states in biome.json.

import { dirname, normalize } from 'node:path/posix';
import type { RepositoryFile } from './repository.ts';
import { blocksOf } from './source-blocks.ts';
import { maskSource } from './source-mask.ts';

export interface Finding {
  path: string;
  line: number;
  text: string;
}

export type FileRule = (file: RepositoryFile) => Finding[];

export const fileLinesWarn = 300;
export const fileLinesMax = 400;
export const functionLinesMax = 70;
export const nestingMax = 4;

interface Import {
  specifier: string;
  line: number;
}

const layers = ['transport', 'runtime', 'actors'] as const;
const outsideLayers = /^(?:bench|test)\//;

/** Files directly in actors/ that every folder of actors/ may import; the others are the composition root. */
const sharedActorFiles = new Set([
  'job.ts',
  'config.ts',
  'environment.ts',
  'isolation.ts',
  'lanes.ts',
  'errors.ts',
  'log.ts',
  'process-actor.ts',
]);
/**
 * What one folder of actors/ shows to the others, besides services/: its contract. That of storage has the consumer's
 * half as well: the wire form of a job, the session of a partition and what a session reports.
 */
const shownFiles = [
  '[a-z-]+/contract',
  'destinations/(?:destination|registry|batch|array-batch)',
  'gateway/live-events',
  'object-storage/open-storage',
  'observations/(?:event-names|observing|observation-log)',
  'processor/stage',
  'storage/(?:job-row|partition-session|demand|done-runs|ledger-tally)',
  'transformer/(?:transformer-client|transformer-http|rest-output)',
];
const actorContracts = new RegExp(`^actors/(?:${shownFiles.join('|')})\\.ts$`);

/** Every dependency and the only files that may import it. A package that is not here is not ours to use. */
const thirdParties: readonly { package: RegExp; allowed: RegExp }[] = [
  {
    package:
      /^(?:uwebsockets|pg|pg-promise|pg-copy-streams|comlink|msgpackr|undici|lmdb|@redis\/client|kafkajs)(?:\/|$)/,
    allowed: /^transport\//,
  },
  { package: /^@opentelemetry\//, allowed: /^runtime\/(?:tracing|metrics-export)\.ts$/ },
  { package: /^pino(?:-pretty)?$/, allowed: /^(?:runtime\/log|actors\/log)\.ts$/ },
  { package: /^yaml$/, allowed: /^(?:runtime\/config[a-z-]*|actors\/[a-z-]+|actors\/services\/[a-z-]+)\.ts$/ },
  {
    package: /^(?:quickjs-emscripten-core|@jitl\/quickjs-wasmfile-release-sync)$/,
    allowed: /^actors\/transformations\/quickjs-(?:engine|module)\.ts$/,
  },
  {
    package: /^(?:ajv|ajv-formats|bowser|isbot|maxmind|re2js)(?:\/|$)/,
    allowed:
      /^actors\/(?:processor\/(?:heavy-libraries|plan-rules|plan-patterns|geo-stage)|destinations\/name-pattern)\.ts$/,
  },
  { package: /^aws4fetch$/, allowed: /^actors\/(?:object-storage|router\/custom)\// },
  { package: /^openid-client$/, allowed: /^actors\/router\/oauth\/direct-tokens\.ts$/ },
  { package: /^zod$/, allowed: /^actors\/services\/[a-z-]+\.ts$/ },
];

/** The doors to time, chance and the process. Everything else is given them. */
const effectsAllowed = /^(?:transport\/|runtime\/seams\.ts$|actors\/main\.ts$|actors\/thread\.ts$|bench\/|test\/)/;
const effects =
  /(?<![\w.#])(?:Date\.now\b|new Date\(\)|setTimeout\(|setInterval\(|setImmediate\(|performance\.|Math\.random\b|process\.env\b)/g;

const importPattern =
  /(?:^|[;}\s])(?:import|export)\s[^;'"]*?from\s*['"]([^'"]+)['"]|(?<![\w'"/])import\s*\(?\s*['"]([^'"]+)['"]/g;

export function importsOf(file: RepositoryFile): Import[] {
  const { withoutComments } = maskSource(file.text);
  return [...withoutComments.matchAll(importPattern)].map((match) => ({
    specifier: match[1] ?? match[2] ?? '',
    line: lineAt(withoutComments, match.index + match[0].length),
  }));
}

export const respectsLayers: FileRule = (file) =>
  outsideLayers.test(file.path) ? [] : objectTo(file, (target) => layerObjection(file.path, target));

function layerObjection(from: string, target: string): string | undefined {
  if (outsideLayers.test(target)) return 'imports tests or benchmarks';
  const own = layers.findIndex((layer) => from.startsWith(`${layer}/`));
  const other = layers.findIndex((layer) => target.startsWith(`${layer}/`));
  if (other === -1) return 'imports from outside the three layers';
  if (other > own) return `${layers[own]} imports ${layers[other]}, which lies above it`;
  if (other < own && target !== `${layers[other]}/index.ts`) return `crosses into ${layers[other]} past its index.ts`;
  return undefined;
}

export const keepsSiblingsApart: FileRule = (file) => {
  const folder = actorFolder(file.path);
  if (folder === undefined) return [];
  return objectTo(file, (target) => {
    if (!target.startsWith('actors/')) return undefined;
    const other = actorFolder(target);
    if (other === undefined) {
      const shared = sharedActorFiles.has(target.slice('actors/'.length));
      return shared ? undefined : 'imports the composition root';
    }
    if (other === folder || other === 'services' || actorContracts.test(target)) return undefined;
    return `actors/${folder} imports the inside of actors/${other}; only its contract.ts may be`;
  });
};

function actorFolder(path: string): string | undefined {
  return /^actors\/([^/]+)\//.exec(path)?.[1];
}

export const keepsThirdPartiesInPlace: FileRule = (file) => {
  if (outsideLayers.test(file.path)) return [];
  const found: Finding[] = [];
  for (const { specifier, line } of importsOf(file)) {
    if (specifier.startsWith('.') || specifier.startsWith('node:')) continue;
    const entry = thirdParties.find((candidate) => candidate.package.test(specifier));
    if (entry?.allowed.test(file.path) !== true)
      found.push({ path: file.path, line, text: `imports ${specifier} here` });
  }
  return found;
};

function objectTo(file: RepositoryFile, objection: (target: string) => string | undefined): Finding[] {
  const found: Finding[] = [];
  for (const { specifier, line } of importsOf(file)) {
    if (!specifier.startsWith('.')) continue;
    const target = normalize(`${dirname(file.path)}/${specifier}`);
    const text = objection(target);
    if (text !== undefined) found.push({ path: file.path, line, text: `${text} (${specifier})` });
  }
  return found;
}

export function findCycle(files: readonly RepositoryFile[]): string[] | undefined {
  const targets = new Map<string, string[]>();
  for (const file of files) {
    const local = importsOf(file).filter(({ specifier }) => specifier.startsWith('.'));
    targets.set(
      file.path,
      local.map(({ specifier }) => normalize(`${dirname(file.path)}/${specifier}`)),
    );
  }
  const finished = new Set<string>();
  const trail: string[] = [];
  const visit = (path: string): string[] | undefined => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    if (finished.has(path)) return undefined;
    trail.push(path);
    for (const target of targets.get(path) ?? []) {
      const cycle = visit(target);
      if (cycle !== undefined) return cycle;
    }
    trail.pop();
    finished.add(path);
    return undefined;
  };
  for (const file of files) {
    const cycle = visit(file.path);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}

export const staysSmall: FileRule = (file) => {
  const lines = lineCount(file);
  return lines > fileLinesMax
    ? [{ path: file.path, line: lines, text: `has ${lines} lines, at most ${fileLinesMax}` }]
    : [];
};

export function lineCount(file: RepositoryFile): number {
  return file.text.split('\n').length - (file.text.endsWith('\n') ? 1 : 0);
}

export const keepsFunctionsShort: FileRule = (file) => {
  const found: Finding[] = [];
  for (const block of blocksOf(file.text)) {
    const lines = block.lastLine - block.line + 1;
    if (!block.isFunction || lines <= functionLinesMax) continue;
    found.push({ path: file.path, line: block.line, text: `function of ${lines} lines, at most ${functionLinesMax}` });
  }
  return found;
};

export const staysFlat: FileRule = (file) =>
  blocksOf(file.text)
    .filter((block) => block.nesting >= nestingMax)
    .map((block) => ({ path: file.path, line: block.line, text: `nests ${block.nesting} deep, under ${nestingMax}` }));

export const leavesEffectsToTheSeams: FileRule = (file) =>
  effectsAllowed.test(file.path) ? [] : occurrences(file, 'code', effects, (hit) => `uses ${hit} outside the seams`);

export const neverSleepsInTests: FileRule = (file) => {
  if (!file.path.startsWith('test/') || file.path.startsWith('test/support/')) return [];
  return [
    ...occurrences(file, 'code', /\b(?:setTimeout|setInterval)\s*\(/g, (hit) => `${hit}…): wait on a signal instead`),
    ...occurrences(file, 'withoutComments', /['"](?:node:)?timers\/promises['"]/g, () => 'waits by the clock'),
  ];
};

export const runsEveryTest: FileRule = (file) =>
  file.path.startsWith('test/')
    ? occurrences(
        file,
        'code',
        /\b(?:test|it|describe|suite)\.(?:only|skip|todo)\b|\{\s*(?:only|skip|todo)\s*:/g,
        (hit) => hit,
      )
    : [];

export const startsWithItsPurpose: FileRule = (file) => {
  const text = file.text.replace(/^#!.*\n/, '');
  const purpose = /^\/\/ [A-Z`].{30,}|^\/\*\*?\s+[A-Z`].{30,}/.test(text);
  return purpose ? [] : [{ path: file.path, line: 1, text: 'starts with no comment that says what it is for' }];
};

export const leavesNothingUndone: FileRule = (file) =>
  occurrences(
    file,
    'comments',
    /\b(?:TODO|FIXME|XXX)\b(?!.*(?:#|issue )\d)/g,
    (hit) => `${hit} without an issue number`,
  );

const bannedWords = /(?:^|[/-])(?:utils?|helpers?|common|misc|managers?)(?=[-./])/;
/** The seed's name for uploads to object storage is kept. */
const keptNames = new Set(['file-manager.ts']);
const kebabCase = /^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.test)?\.(?:ts|sql)$/;

export const isNamedWell: FileRule = (file) => {
  const name = file.path.slice(file.path.lastIndexOf('/') + 1);
  if (!kebabCase.test(name)) return [{ path: file.path, line: 1, text: 'is not named in kebab-case' }];
  if (keptNames.has(name) || !bannedWords.test(file.path)) return [];
  return [{ path: file.path, line: 1, text: 'has a name that says nothing' }];
};

/** Migrations are appended, never renumbered: 0001-, 0002-, … without a gap. */
/** Numbers may have gaps, but none is used twice; from the second step on there is a way back. */
export function migrationObjections(names: readonly string[]): string[] {
  const forward = names.filter((name) => !name.endsWith('.down.sql')).sort();
  return [
    ...names
      .filter((name) => !/^\d{4}-[a-z0-9]+(?:-[a-z0-9]+)*(?:\.down)?\.sql$/.test(name))
      .map((name) => `expected ${name} to be named NNNN-<kebab-case>.sql or NNNN-<kebab-case>.down.sql`),
    ...forward
      .filter((name, index) => forward[index - 1]?.slice(0, 4) === name.slice(0, 4))
      .map((name) => `expected ${name} to have a number of its own`),
    ...forward
      .filter((name, index) => index > 0 && !names.includes(name.replace(/\.sql$/, '.down.sql')))
      .map((name) => `expected ${name} to have a way back beside it, ${name.replace(/\.sql$/, '.down.sql')}`),
  ];
}

const topLevel = new Set([
  ...['runtime', 'actors', 'transport', 'bench', 'test', '.ci', '.gitignore'],
  ...['package.json', 'package-lock.json', 'tsconfig.json', 'biome.json'],
  ...['README.md', 'ARCHITECTURE.md', 'CHANGELOG.md', 'LICENSE'],
]);

export function strayTopLevelNames(names: readonly string[]): string[] {
  return names.filter((name) => !topLevel.has(name));
}

function occurrences(
  file: RepositoryFile,
  where: 'code' | 'comments' | 'withoutComments',
  pattern: RegExp,
  say: (hit: string) => string,
): Finding[] {
  const masked = maskSource(file.text)[where];
  return [...masked.matchAll(pattern)].map((match) => ({
    path: file.path,
    line: lineAt(masked, match.index),
    text: say(match[0]),
  }));
}

function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', at + 1)) line += 1;
  return line;
}
