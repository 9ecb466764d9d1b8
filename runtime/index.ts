// Public surface of the runtime layer: what actors/ may use. One line per file.

export * from './config.ts';
export * from './config-load.ts';
