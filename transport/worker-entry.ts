// Where the file of a worker thread is. The compiler rewrites import specifiers but no URLs, so the extension is taken
// from the module that asks: `.ts` when types are stripped at run time, `.js` after a build.

/** `workerEntry('./thread', import.meta.url)`: the sibling module, with the extension of the asking one. */
export function workerEntry(path: string, importMetaUrl: string): URL {
  const extension = importMetaUrl.endsWith('.ts') ? '.ts' : '.js';
  return new URL(path + extension, importMetaUrl);
}
