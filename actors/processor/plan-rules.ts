// The rules of one event in a tracking plan, a JSON schema by a customer, as a function that tells what an event breaks.
// Schemas are code in disguise: what could make checking take longer than in proportion to the event is refused
// (references, which can recurse), replaced (uniqueItems) or bounded (patterns, formats, size). Rules that are refused
// check nothing, and say so.

import type { ErrorObject, Format, Options, ValidateFunction } from 'ajv';
import type { Ajv2019 } from 'ajv/dist/2019.js';
import { type EventObject, isObject } from '../destinations/destination.ts';
import { loadAjv, loadAjvFormats } from './heavy-libraries.ts';
import { linearPattern, renewSteps, TooCostly } from './plan-patterns.ts';

/** Named as in the field (spec/transformer-and-clients.md 1.7). */
export type ViolationType =
  | 'Unplanned-Event'
  | 'Additional-Properties'
  | 'Datatype-Mismatch'
  | 'Required-Missing'
  | 'Unknown-Violation'
  | 'Advance-Rules-Violation';

export interface Violation {
  type: ViolationType;
  message: string;
  property?: string;
  meta: Record<string, unknown>;
}

export interface CompiledRules {
  /** Why nothing is checked; '' when everything is. */
  readonly problem: string;
  check(event: EventObject): Violation[];
}

const nodesMax = 5_000;
const depthMax = 64;
const violationsMax = 100;
/** Nodes of the rules times characters of the event. */
const workMax = 200_000_000;
const formatCharactersMax = 2_048;

const typeOfKeyword: Readonly<Record<string, ViolationType>> = {
  required: 'Required-Missing',
  dependentRequired: 'Required-Missing',
  type: 'Datatype-Mismatch',
  additionalProperties: 'Additional-Properties',
  unevaluatedProperties: 'Additional-Properties',
  enum: 'Advance-Rules-Violation',
  const: 'Advance-Rules-Violation',
  pattern: 'Advance-Rules-Violation',
  format: 'Advance-Rules-Violation',
  minimum: 'Advance-Rules-Violation',
  maximum: 'Advance-Rules-Violation',
  exclusiveMinimum: 'Advance-Rules-Violation',
  exclusiveMaximum: 'Advance-Rules-Violation',
  multipleOf: 'Advance-Rules-Violation',
  minLength: 'Advance-Rules-Violation',
  maxLength: 'Advance-Rules-Violation',
  minItems: 'Advance-Rules-Violation',
  maxItems: 'Advance-Rules-Violation',
  uniqueItems: 'Advance-Rules-Violation',
};

export function compileRules(rules: unknown): CompiledRules {
  if (!isObject(rules)) return unchecked('they are no JSON schema');
  const size = measure(rules);
  if (size.problem !== '') return unchecked(size.problem);
  const { $schema: dialect, $id: _id, ...schema } = rules;
  try {
    const isOld = typeof dialect === 'string' && dialect.includes('draft-04');
    const validate = compiler().compile(isOld ? modernised(schema) : schema);
    return { problem: '', check: (event) => check(validate, event, size.nodes) };
  } catch (error) {
    return unchecked(error instanceof Error ? error.message : 'they cannot be compiled');
  }
}

function check(validate: ValidateFunction, event: EventObject, nodes: number): Violation[] {
  renewSteps();
  try {
    if (JSON.stringify(event).length * nodes > workMax) throw new TooCostly('the event is too large for its rules');
    if (validate(event)) return [];
    return (validate.errors ?? []).slice(0, violationsMax).map(violationOf);
  } catch (error) {
    const message = error instanceof Error ? error.message : 'the rules cannot be checked';
    return [{ type: 'Unknown-Violation', message, meta: {} }];
  }
}

function violationOf({ keyword, instancePath, schemaPath, message = '', params }: ErrorObject): Violation {
  const own: Record<string, unknown> = params;
  const name = own.missingProperty ?? own.additionalProperty ?? own.unevaluatedProperty;
  const property = typeof name === 'string' ? `${instancePath}/${name}` : instancePath;
  return {
    type: typeOfKeyword[keyword] ?? 'Unknown-Violation',
    message: `${instancePath} ${message}`.trim(),
    ...(property === '' ? {} : { property: property.slice(1).replaceAll('/', '.') }),
    meta: { instancePath, schemaPath, ...params },
  };
}

function unchecked(problem: string): CompiledRules {
  return { problem, check: () => [] };
}

/** Walks everything, also what is no schema: a name too many is refused rather than one too few. */
function measure(root: unknown): { nodes: number; problem: string } {
  let nodes = 0;
  const walk = (value: unknown, depth: number): string => {
    nodes += 1;
    if (nodes > nodesMax) return `they have more than ${nodesMax} parts`;
    if (depth > depthMax) return `they are nested more than ${depthMax} deep`;
    if (typeof value !== 'object' || value === null) return '';
    for (const [key, inner] of Object.entries(value)) {
      if (/^\$(?:ref|dynamicRef|recursiveRef)$/.test(key) && typeof inner === 'string') return `they use ${key}`;
      const problem = walk(inner, depth + 1);
      if (problem !== '') return problem;
    }
    return '';
  };
  const problem = walk(root, 0);
  return { nodes, problem };
}

/** Exclusive bounds were flags beside the bound in draft 04. */
function modernised(schema: Record<string, unknown>): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(schema)) {
    result[key] = isObject(value) ? modernised(value) : Array.isArray(value) ? value.map(modernisedItem) : value;
  }
  for (const [flag, bound] of [
    ['exclusiveMinimum', 'minimum'],
    ['exclusiveMaximum', 'maximum'],
  ] as const) {
    if (typeof schema[flag] !== 'boolean') continue;
    delete result[flag];
    if (schema[flag] === true && typeof schema[bound] === 'number') {
      result[flag] = schema[bound];
      delete result[bound];
    }
  }
  return result;
}

function modernisedItem(value: unknown): unknown {
  return isObject(value) ? modernised(value) : value;
}

let known: Ajv2019 | undefined;

/** Draft 06 and 07 differ in nothing that rules without references use. */
function compiler(): Ajv2019 {
  if (known === undefined) {
    const { Ajv2019: Engine } = loadAjv();
    known = adapted(new Engine(options()));
  }
  return known;
}

function options(): Options {
  return {
    allErrors: true,
    strict: false,
    logger: false,
    addUsedSchema: false,
    validateFormats: true,
    code: { regExp: Object.assign(linearPattern, { code: 'linearPattern' }) },
  };
}

function adapted(ajv: Ajv2019): Ajv2019 {
  for (const [name, format] of Object.entries(loadAjvFormats().fastFormats))
    ajv.addFormat(name, (text: string) => matches(format, text));
  ajv.removeKeyword('uniqueItems');
  ajv.addKeyword({
    keyword: 'uniqueItems',
    type: 'array',
    schemaType: 'boolean',
    validate: (wanted: boolean, items: unknown[]) => !wanted || new Set(items.map(canonical)).size === items.length,
  });
  return ajv;
}

function matches(format: Format, text: string): boolean {
  if (text.length > formatCharactersMax) return false;
  if (format instanceof RegExp) return format.test(text);
  if (typeof format === 'function') return Boolean(format(text));
  if (typeof format !== 'object') return true;
  const { validate } = format;
  if (validate instanceof RegExp) return validate.test(text);
  return typeof validate === 'function' ? Boolean(Reflect.apply(validate, undefined, [text])) : true;
}

/** Equal values give equal texts, whatever the order of their keys. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    isObject(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner,
  );
}
