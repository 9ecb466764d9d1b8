// Finds the configuration file and reads all settings of the program: the part of reading settings that touches the
// disk. A file that was named must be there; ./sluice.yaml is read when it is.

import { readFileSync, statSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { type ConfigFault, type ConfigResult, loadConfig } from '../runtime/index.ts';
import { type Settings, settingsSchema } from './config.ts';

const defaultFileName = 'sluice.yaml';
const fileBytesMax = 1024 * 1024;

export interface SettingsRequest {
  /** Of --config; wins over SLUICE_CONFIG. */
  configPath: string | undefined;
  environment: Readonly<Record<string, string | undefined>>;
  flags: readonly string[];
  folder: string;
}

export type SettingsResult = ConfigResult<Settings> & {
  /** The file that was read; undefined when there is none. */
  filePath: string | undefined;
};

export function readSettings({ configPath, environment, flags, folder }: SettingsRequest): SettingsResult {
  const named = configPath ?? (environment.SLUICE_CONFIG || undefined);
  const path = resolve(folder, named ?? defaultFileName);
  const file = readText(path);
  if (file.text !== undefined) {
    const sources = { file: { path: relative(folder, path), text: file.text }, environment, flags };
    return { ...loadConfig(settingsSchema, sources), filePath: path };
  }
  const result = loadConfig(settingsSchema, { environment, flags });
  if (named === undefined && file.code === 'ENOENT') return { ...result, filePath: undefined };
  const source = configPath === undefined ? 'environment SLUICE_CONFIG' : 'flag --config';
  const fault: ConfigFault = {
    path: '',
    source: named === undefined ? path : source,
    expected: `a readable configuration file of at most ${fileBytesMax} bytes at ${path}`,
    got: file.code,
  };
  return { ok: false, faults: [fault, ...(result.ok ? [] : result.faults)], filePath: undefined };
}

function readText(path: string): { text: string } | { text: undefined; code: string } {
  try {
    const { size } = statSync(path);
    if (size > fileBytesMax) return { text: undefined, code: `${size} bytes` };
    return { text: readFileSync(path, 'utf8') };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'an unknown error';
    return { text: undefined, code };
  }
}
