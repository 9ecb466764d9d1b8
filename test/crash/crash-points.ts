// Finds the crash points of a module and makes them reachable. A point is a moment at which a process or its PostgreSQL
// can be killed so that something is half done: before an `await`, right after what is awaited was begun (the statement
// is on its way), after its answer, and the beginning and end of handlers that change state without awaiting anything.
//
// Points are made from the parsed code instead of calls written by hand: an await that somebody adds tomorrow is a point
// without anybody thinking of it, and the product carries no trace of its tests. Names are built from what a reader
// knows, `storage/lane:#commitGroup/#write:sent`: module, function, what is awaited, moment.

import { basename } from 'node:path/posix';
import { parseSync } from 'oxc-parser';

/** `before`, `sent` and `after` belong to an await; `entry` and `exit` to a handler. */
export type Moment = 'before' | 'sent' | 'after' | 'entry' | 'exit';

export interface CrashModule {
  /** Below `actors/`, without extension: `storage/lane`. */
  name: string;
  /** Handlers whose entry and exit are points. */
  handlers: readonly string[];
  /** Constants that a small load would never reach, with the values it does; e.g. how often maintenance looks. */
  constants: Readonly<Record<string, number>>;
}

export interface InstrumentedModule {
  text: string;
  points: string[];
}

interface Node {
  type: string;
  start: number;
  end: number;
}

interface Insertion {
  at: number;
  text: string;
}

interface Scope {
  functionName: string;
  /** How often each name was used, so that a second await of the same kind gets a number. */
  names: Map<string, number>;
}

const functionTypes = new Set(['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression']);

/** `text` is the compiled module; the result imports the seam from `seam`. */
export function instrument(module: CrashModule, text: string, seam: string): InstrumentedModule {
  const { program, errors } = parseSync(`${basename(module.name)}.js`, text);
  if (errors.length > 0) throw new Error(`expected ${module.name} to be parseable: ${errors[0]?.message}`);
  const found = new Finder(module);
  found.visit(program, { functionName: '', names: new Map() });
  const missing = [...module.handlers, ...Object.keys(module.constants)].filter((name) => !found.seen.has(name));
  if (missing.length > 0) throw new Error(`expected ${module.name} to have ${missing.join(', ')}`);
  const insertions = [...found.insertions, { at: 0, text: `import * as $crash from ${JSON.stringify(seam)};` }];
  return { text: apply(text, insertions, found.replacements), points: found.points };
}

class Finder {
  readonly insertions: Insertion[] = [];
  readonly replacements: { start: number; end: number; text: string }[] = [];
  readonly points: string[] = [];
  readonly seen = new Set<string>();
  readonly #module: CrashModule;

  constructor(module: CrashModule) {
    this.#module = module;
  }

  visit(value: unknown, scope: Scope, name = ''): void {
    if (Array.isArray(value)) {
      for (const each of value) this.visit(each, scope, name);
      return;
    }
    if (!isNode(value)) return;
    if (functionTypes.has(value.type)) {
      this.#visitFunction(value, scope, name);
      return;
    }
    if (value.type === 'AwaitExpression') this.#addAwait(value, scope);
    this.#replaceConstant(value);
    const own = nameOf(child(value, 'key')) || nameOf(child(value, 'id'));
    for (const key of Object.keys(value)) this.visit(Reflect.get(value, key), scope, own === '' ? name : own);
  }

  /** Callbacks without a name belong to the function around them. */
  #visitFunction(node: Node, outer: Scope, assignedName: string): void {
    const own = nameOf(child(node, 'id')) || (node.type === 'ArrowFunctionExpression' ? '' : assignedName);
    const scope: Scope = own === '' ? outer : { functionName: own, names: new Map() };
    const body = child(node, 'body');
    if (own !== '' && this.#module.handlers.includes(own) && isNode(body) && body.type === 'BlockStatement') {
      this.#addHandler(body, own);
    }
    for (const key of Object.keys(node)) this.visit(Reflect.get(node, key), scope);
  }

  #addHandler(body: Node, name: string): void {
    this.seen.add(name);
    const point = `${this.#module.name}:${name}`;
    this.points.push(`${point}:entry`, `${point}:exit`);
    const quoted = JSON.stringify(point);
    this.insertions.push({ at: body.start + 1, text: `$crash.entry(${quoted});try{` });
    this.insertions.push({ at: body.end - 1, text: `}finally{$crash.exit(${quoted});}` });
  }

  #addAwait(node: Node, scope: Scope): void {
    const argument = child(node, 'argument');
    if (!isNode(argument)) return;
    const base = `${this.#module.name}:${scope.functionName || 'module'}/${calleeOf(argument)}`;
    const count = (scope.names.get(base) ?? 0) + 1;
    scope.names.set(base, count);
    const point = count === 1 ? base : `${base}#${count}`;
    this.points.push(`${point}:before`, `${point}:sent`, `${point}:after`);
    const quoted = JSON.stringify(point);
    this.insertions.push({ at: node.start, text: `($crash.before(${quoted}),$crash.after(${quoted},` });
    this.insertions.push({ at: argument.start, text: `$crash.sent(${quoted},` });
    this.insertions.push({ at: node.end, text: ')))' });
  }

  #replaceConstant(node: Node): void {
    if (node.type !== 'VariableDeclarator') return;
    const name = nameOf(child(node, 'id'));
    const value = this.#module.constants[name];
    const init = child(node, 'init');
    if (value === undefined || !isNode(init)) return;
    this.seen.add(name);
    this.replacements.push({ start: init.start, end: init.end, text: String(value) });
  }
}

/** What is awaited, in one word: the called method or function, or the property. */
function calleeOf(node: Node): string {
  if (node.type === 'CallExpression' || node.type === 'NewExpression') {
    const callee = child(node, 'callee');
    return isNode(callee) ? `${calleeOf(callee)}${statementOf(node)}` : 'call';
  }
  if (node.type === 'MemberExpression') {
    const property = nameOf(child(node, 'property'));
    // `x.then(…)` and `x.catch(…)` say nothing; what they are called on does.
    const object = child(node, 'object');
    return ['then', 'catch', 'finally'].includes(property) && isNode(object) ? calleeOf(object) : property;
  }
  if (node.type === 'ChainExpression' || node.type === 'ParenthesizedExpression') {
    const expression = child(node, 'expression');
    return isNode(expression) ? calleeOf(expression) : 'value';
  }
  return nameOf(node) || 'value';
}

/** Of a query, which one: its first words, if they stand there. */
function statementOf(call: Node): string {
  const parameters = child(call, 'arguments');
  const first: unknown = Array.isArray(parameters) ? parameters[0] : undefined;
  if (!isNode(first)) return '';
  const quasis = child(first, 'quasis');
  const literal: unknown = Array.isArray(quasis)
    ? Reflect.get(Object(quasis[0]?.value), 'cooked')
    : child(first, 'value');
  const words = typeof literal === 'string' ? literal.toLowerCase().match(/[a-z_]+/g) : null;
  return words === null ? '' : `(${words.slice(0, 2).join(' ')})`;
}

function nameOf(value: unknown): string {
  if (!isNode(value)) return '';
  const name: unknown = Reflect.get(value, 'name');
  if (typeof name !== 'string') return '';
  return value.type === 'PrivateIdentifier' ? `#${name}` : name;
}

function child(node: Node, key: string): unknown {
  return Reflect.get(node, key);
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, 'type') === 'string';
}

/** Inner awaits end where outer ones do: at one place, what was found later (further inside) comes first. */
function apply(
  text: string,
  insertions: readonly Insertion[],
  replacements: readonly { start: number; end: number; text: string }[],
): string {
  const edits = [
    ...insertions.map(({ at, text: added }) => ({ start: at, end: at, text: added })),
    ...replacements,
  ].sort((a, b) => a.start - b.start);
  let result = '';
  let from = 0;
  for (const edit of edits) {
    result += text.slice(from, edit.start) + edit.text;
    from = edit.end;
  }
  return result + text.slice(from);
}
