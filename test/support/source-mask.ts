// Blanks out comments, or comments and literals, of TypeScript source, keeping every line where it was. The tidy rules
// look for words and braces; without this they would find them in prose. Not a parser: it knows strings, templates,
// comments and, by the character before it, regular expressions.

export interface MaskedSource {
  /** Comments are blanks; strings are kept (imports are read from here). */
  withoutComments: string;
  /** Comments, strings, templates and regular expressions are blanks; `${…}` inside a template is kept. */
  code: string;
  /** Only the comments; everything else is blank. */
  comments: string;
}

type Region = 'code' | 'comment' | 'literal';

/** After one of these a slash starts a regular expression; after anything else it divides. */
const beforeExpression = /(?:[(,=:[!&|?{};+\-*%<>~^]|\breturn|\btypeof|\bcase|=>)\s*$/;

export function maskSource(source: string): MaskedSource {
  const masks = { withoutComments: '', code: '', comments: '' };
  for (const { region, text } of regions(source)) {
    const blank = text.replace(/[^\n]/g, ' ');
    masks.withoutComments += region === 'comment' ? blank : text;
    masks.code += region === 'code' ? text : blank;
    masks.comments += region === 'comment' ? text : blank;
  }
  return masks;
}

function* regions(source: string): Generator<{ region: Region; text: string }> {
  let at = 0;
  let codeFrom = 0;
  /** Brace depth at which each open `${` closes; a template continues there. */
  const templates: number[] = [];
  let depth = 0;
  while (at < source.length) {
    const end = literalEnd(source, at, codeFrom) ?? templateEnd(source, at, depth, templates);
    if (end === undefined) {
      if (source[at] === '{') depth += 1;
      if (source[at] === '}') depth -= 1;
      at += 1;
      continue;
    }
    if (at > codeFrom) yield { region: 'code', text: source.slice(codeFrom, at) };
    yield { region: isComment(source, at) ? 'comment' : 'literal', text: source.slice(at, end) };
    if (source[at] === '}') depth -= 1;
    if ((source[at] === '}' || source[at] === '`') && source.startsWith('${', end - 2)) depth += 1;
    at = end;
    codeFrom = end;
  }
  if (at > codeFrom) yield { region: 'code', text: source.slice(codeFrom, at) };
}

function isComment(source: string, at: number): boolean {
  return source.startsWith('//', at) || source.startsWith('/*', at);
}

/** End of the comment, string or regular expression that starts at `at`; undefined when none does. */
function literalEnd(source: string, at: number, codeFrom: number): number | undefined {
  const character = source[at];
  if (source.startsWith('//', at)) return endOr(source.indexOf('\n', at), source.length);
  if (source.startsWith('/*', at)) return endOr(source.indexOf('*/', at + 2), source.length - 2) + 2;
  if (character === "'" || character === '"') return closing(source, at + 1, character);
  if (character !== '/') return undefined;
  const before = source.slice(Math.max(codeFrom, at - 40), at);
  if (before.trim() !== '' && !beforeExpression.test(before)) return undefined;
  return closing(source, at + 1, '/');
}

/** End of the template text that starts at `at` (after a backtick, or after the brace that ends `${…}`). */
function templateEnd(source: string, at: number, depth: number, templates: number[]): number | undefined {
  const continues = source[at] === '}' && templates.at(-1) === depth;
  if (source[at] !== '`' && !continues) return undefined;
  if (continues) templates.pop();
  for (let end = at + 1; end < source.length; end += 1) {
    if (source[end] === '\\') end += 1;
    else if (source[end] === '`') return end + 1;
    else if (source.startsWith('${', end)) {
      templates.push(continues ? depth : depth + 1);
      return end + 2;
    }
  }
  return source.length;
}

function closing(source: string, from: number, quote: string): number {
  let inClass = false;
  for (let end = from; end < source.length; end += 1) {
    const character = source[end];
    if (character === '\\') end += 1;
    else if (quote === '/' && character === '[') inClass = true;
    else if (quote === '/' && character === ']') inClass = false;
    else if (character === quote && !inClass) return end + 1;
    else if (character === '\n') return end;
  }
  return source.length;
}

function endOr(found: number, otherwise: number): number {
  return found === -1 ? otherwise : found;
}
