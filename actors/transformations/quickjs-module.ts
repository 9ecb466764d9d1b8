// Loads QuickJS: compiled once per thread, instantiated per program. Texts cross into WebAssembly and back by Node's own
// encoder, which takes a tenth of the time of the loop over characters that comes with the module; for small code that
// is a third of what an event costs.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { QuickJSSyncVariant, QuickJSWASMModule } from 'quickjs-emscripten-core';

const wasmPackage = '@jitl/quickjs-wasmfile-release-sync';

/** Of every Node; only the types of browsers describe it. */
declare const WebAssembly: { compile(bytes: Uint8Array): Promise<never> };

type ModuleLoader = Extract<
  Awaited<ReturnType<QuickJSSyncVariant['importModuleLoader']>>,
  (...options: never) => unknown
>;
type EmscriptenModule = Awaited<ReturnType<ModuleLoader>>;

let instances: Promise<() => Promise<QuickJSWASMModule>> | undefined;

/** A fresh instance. */
export async function newQuickJs(): Promise<QuickJSWASMModule> {
  instances ??= load();
  return (await instances)();
}

async function load(): Promise<() => Promise<QuickJSWASMModule>> {
  const [core, variant] = await Promise.all([
    import('quickjs-emscripten-core'),
    import('@jitl/quickjs-wasmfile-release-sync'),
  ]);
  const file = createRequire(import.meta.url).resolve(`${wasmPackage}/wasm`);
  const wasmModule = await WebAssembly.compile(new Uint8Array(await readFile(file)));
  // Under its types the package is CommonJS, whose default export is one level deeper than where Node finds it.
  const found = variant.default;
  const base = ('default' in found ? found.default : found) as QuickJSSyncVariant;
  const compiled = core.newVariant({ ...base, importModuleLoader: () => fastTexts(base) }, { wasmModule });
  return () => core.newQuickJSWASMModuleFromVariant(compiled);
}

async function fastTexts(base: QuickJSSyncVariant): Promise<ModuleLoader> {
  let imported: unknown = await base.importModuleLoader();
  while (typeof imported === 'object' && imported !== null && 'default' in imported) imported = imported.default;
  const loader = imported as ModuleLoader;
  return async (options) => withFastTexts(await loader(options));
}

function withFastTexts(module: EmscriptenModule): EmscriptenModule {
  let heap: Buffer = Buffer.alloc(0);
  // The memory grows by being replaced.
  const current = (): Buffer => {
    const { HEAPU8 } = module;
    if (heap.buffer !== HEAPU8.buffer) heap = Buffer.from(HEAPU8.buffer, HEAPU8.byteOffset, HEAPU8.byteLength);
    return heap;
  };
  module.lengthBytesUTF8 = (text) => Buffer.byteLength(text);
  module.stringToUTF8 = (text, at, bytesMax = Number.POSITIVE_INFINITY) => {
    const memory = current();
    const written = memory.write(text, at, Math.min(bytesMax - 1, memory.byteLength - at - 1), 'utf8');
    memory[at + written] = 0;
  };
  module.UTF8ToString = (at, bytesMax = Number.POSITIVE_INFINITY) => {
    if (Number(at) === 0) return '';
    const memory = current();
    const end = memory.indexOf(0, at);
    const last = end < 0 ? memory.byteLength : end;
    return memory.toString('utf8', at, Math.min(last, Number(at) + bytesMax));
  };
  return module;
}
