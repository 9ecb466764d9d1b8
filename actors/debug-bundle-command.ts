// The command debug-bundle: everything somebody needs who is to help, in one file: settings without secrets, and what the
// running program says of itself. No event and no configuration of a destination is in it. It goes into a folder, or to
// the object storage of the archive.

import { mkdir, writeFile } from 'node:fs/promises';
import { arch, cpus, hostname, platform, release, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { describeConfig } from '../runtime/index.ts';
import { type BundledFile, tarGzip } from './bundle-archive.ts';
import { type CommandLine, exitCodes } from './cli.ts';
import { type Settings, settingsSchema } from './config.ts';
import { openObjectStorage, placeOfSettings } from './object-storage/open-storage.ts';
import { ServiceClient, type ServiceError } from './services/service-client.ts';
import { StartError } from './start-error.ts';

export type DebugBundleParameters = Pick<Extract<CommandLine, { command: 'debug-bundle' }>, 'out' | 'upload'>;

export interface BundleOptions {
  settings: Settings;
  version: string;
  nodeVersion: string;
  nowMs: number;
  /** Of `sluice ledger --json`; rejects when there is no database to look at. */
  ledger(): Promise<string>;
}

const answerBytesMax = 64 * 1024 * 1024;
const timeoutMs = 15_000;
/** What is asked of the admin server. Not reports and schemas: they hold examples of events. */
const asked = [
  { path: '/status', file: 'status.json' },
  { path: '/metrics', file: 'metrics.txt' },
  { path: '/readyz', file: 'readyz.txt' },
  { path: '/archives', file: 'archives.json' },
];

export async function runDebugBundleCommand(
  { out, upload }: DebugBundleParameters,
  options: BundleOptions,
): Promise<{ exitCode: number; out: string }> {
  const { settings, nowMs } = options;
  const missing: string[] = [];
  const files: BundledFile[] = [
    { name: 'about.json', text: json(aboutOf(options)) },
    { name: 'settings.json', text: json(redactedSettings(settings)) },
    ...(await askProgram(settings, missing)),
  ];
  try {
    files.push({ name: 'ledger.json', text: await options.ledger() });
  } catch (error) {
    missing.push(`ledger.json: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (missing.length > 0) files.push({ name: 'missing.txt', text: `${missing.join('\n')}\n` });
  const stamp = new Date(nowMs).toISOString().replaceAll(/[:.]/g, '-');
  const name = `sluice-debug-${stamp}.tar.gz`;
  const bundle = tarGzip(files, nowMs);
  const place = upload ? await uploadTo(settings, name, bundle, nowMs) : await writeTo(out ?? '.', name, bundle);
  const listed = files.map((file) => `  ${file.name}`).join('\n');
  return { exitCode: exitCodes.ok, out: `${place}\n${listed}\n` };
}

/** By path, as the operator writes them; whatever is secret says only whether it is set. */
export function redactedSettings(settings: Settings): Record<string, unknown> {
  const redacted: Record<string, unknown> = {};
  for (const { path, secret } of describeConfig(settingsSchema)) {
    const value = path.split('.').reduce<unknown>((table, name) => Reflect.get(Object(table), name), settings);
    redacted[path] = secret && value !== '' ? '(hidden)' : withoutPassword(value);
  }
  return redacted;
}

/** A URL may hold a password, whatever setting it stands in. */
function withoutPassword(value: unknown): unknown {
  if (typeof value !== 'string' || !URL.canParse(value)) return value;
  return value.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, '$1(hidden)@');
}

function aboutOf({ version, nodeVersion, nowMs }: BundleOptions): Record<string, unknown> {
  return {
    version,
    nodeVersion,
    at: new Date(nowMs).toISOString(),
    host: hostname(),
    platform: `${platform()} ${release()} ${arch()}`,
    cores: cpus().length,
    memoryBytes: totalmem(),
  };
}

async function askProgram({ admin }: Settings, missing: string[]): Promise<BundledFile[]> {
  const client = new ServiceClient({ name: 'the running program', answerBytesMax });
  const headers = admin.token === '' ? {} : { Authorization: `Bearer ${admin.token}` };
  const host = admin.host === '0.0.0.0' || admin.host === '::' ? '127.0.0.1' : admin.host;
  const files: BundledFile[] = [];
  for (const { path, file } of asked) {
    const url = new URL(`http://${host.includes(':') ? `[${host}]` : host}:${admin.port}${path}`);
    try {
      const { body } = await client.call({ url, headers: { ...headers, Accept: 'application/json' }, timeoutMs });
      files.push({ name: file, text: body.toString() });
    } catch (error) {
      missing.push(`${file}: ${(error as ServiceError).message}`);
    }
  }
  await client.close();
  return files;
}

async function writeTo(folder: string, name: string, bundle: Buffer): Promise<string> {
  const path = join(resolve(folder), name);
  try {
    await mkdir(resolve(folder), { recursive: true });
    // Nobody else's business, and never over something that is there.
    await writeFile(path, bundle, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    const fix = 'Name another folder with --out.';
    throw new StartError(`The bundle cannot be written to ${path}.`, fix, undefined, error);
  }
  return path;
}

async function uploadTo(settings: Settings, name: string, bundle: Buffer, nowMs: number): Promise<string> {
  const place = placeOfSettings(settings);
  if (place === undefined) {
    throw new StartError('There is no object storage to upload to.', 'Set archival.storage, or leave --upload out.');
  }
  const storage = openObjectStorage(place, { timeoutMs: settings.archival.timeoutMs, nowMs: () => nowMs });
  const key = `debug-bundles/${name}`;
  try {
    await storage.put(key, bundle, 'application/gzip');
  } catch (error) {
    throw new StartError(`The bundle was not taken: ${String(error)}.`, 'Look at archival.…', undefined, error);
  } finally {
    await storage.close();
  }
  return `${place.provider === 'local' ? place.folder : place.bucket}/${place.prefix}${key}`;
}

function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
