// Finds the brace blocks of TypeScript source: where each begins and ends, whether it is a function, how deep it nests.
// Good enough for rules of size and nesting; what it cannot tell apart it takes for a function.

import { maskSource } from './source-mask.ts';

/** A brace block that is no function itself; a longer one inside a function makes that function too long anyway. */
const declares = /^\s*(?:export\s+)?(?:abstract\s+)?(?:class|interface|type|import|export)\b/;
const suite = /\b(?:describe|suite)\(/;
const control = /^\s*(?:\}?\s*else\b|if\b|for\b|while\b|do\b|switch\b|try\b|\}?\s*catch\b|\}?\s*finally\b)/;

export interface Block {
  line: number;
  lastLine: number;
  isFunction: boolean;
  /** Control blocks around and including this one, within its function. */
  nesting: number;
}

export function blocksOf(source: string): Block[] {
  const { code } = maskSource(source);
  const blocks: Block[] = [];
  const open: Block[] = [];
  let line = 1;
  for (let at = 0; at < code.length; at += 1) {
    const character = code[at];
    if (character === '\n') line += 1;
    if (character === '{') open.push(openBlock(code, at, line, open.at(-1)?.nesting ?? 0));
    if (character !== '}') continue;
    const block = open.pop();
    if (block !== undefined) blocks.push({ ...block, lastLine: line });
  }
  return blocks;
}

function openBlock(code: string, at: number, line: number, outerNesting: number): Block {
  const before = code.slice(0, at).trimEnd();
  const header = before.slice(Math.max(before.lastIndexOf(';'), before.lastIndexOf('{'), before.lastIndexOf('}')) + 1);
  const isArrow = before.endsWith('=>');
  const isLiteral = !isArrow && /(?:[=(,:[?|&<]|\breturn|\bsatisfies\s+\w+|\$)$/.test(before);
  const currentLine = before.slice(before.lastIndexOf('\n') + 1);
  const isControl = !isArrow && !isLiteral && control.test(currentLine);
  const isDeclaration = !isArrow && declares.test(header) && !/\bfunction\b/.test(header);
  const isFunction = !isLiteral && !isControl && !isDeclaration && !suite.test(currentLine);
  const nesting = isControl ? outerNesting + 1 : isFunction ? 0 : outerNesting;
  return { line, lastLine: line, isFunction, nesting };
}
