// The workspace of the first minute: made once in the data folder when no workspace file is configured, so that one
// command and one curl line show a delivered event. It is the operator's file from then on; only the port of the local
// receiver is kept true, for as long as that line is left as it was written: the port stands in it twice, so that an
// address somebody put there is not taken for ours only because the remark behind it was left standing.

import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface StarterWorkspaceOptions {
  dataDir: string;
  /** Port the local receiver really listens on. */
  receiverPort: number;
}

export interface StarterWorkspace {
  path: string;
  created: boolean;
}

export async function ensureStarterWorkspace(options: StarterWorkspaceOptions): Promise<StarterWorkspace> {
  const path = join(options.dataDir, 'workspace.yaml');
  const existing = await readIfPresent(path);
  if (existing === undefined) {
    await mkdir(options.dataDir, { recursive: true });
    const writeKey = `wk_${randomBytes(18).toString('base64url')}`;
    await replaceFile(path, starterText(writeKey, options.receiverPort));
    return { path, created: true };
  }
  const current = withReceiverPort(existing, options.receiverPort);
  if (current !== existing) await replaceFile(path, current);
  return { path, created: false };
}

/** The text with its receiver line at `port`; unchanged when that line is no longer as we wrote it. */
export function withReceiverPort(text: string, port: number): string {
  return text.replace(
    /^(\s*webhookUrl: )http:\/\/127\.0\.0\.1:(\d+)\/( # the local receiver, port )\2$/m,
    `$1http://127.0.0.1:${port}/$3${port}`,
  );
}

export function starterText(writeKey: string, receiverPort: number): string {
  return `# The starter workspace of Sluice. It is yours: change it and save, and the running program follows within a moment.
# A version with a mistake is refused whole and the last good one stays; the log and the status page say why.
#
# The shape is that of RudderStack's workspaceConfig.json, so an export from there works as well.
# A value env.NAME is taken from the environment variable NAME: keep secrets there.

workspaceId: starter

sources:
  # A source is an application that sends events. It shows its write key as the user name of Basic authentication.
  - id: starter-source
    name: Starter source
    writeKey: ${writeKey}
    enabled: true
    sourceDefinition:
      name: HTTP

    # Every event of a source goes to each of its destinations.
    destinations:
      - id: starter-receiver
        name: Starter receiver
        enabled: true
        destinationDefinition:
          name: WEBHOOK
        config:
          # Put your own URL here to receive the events yourself.
          webhookUrl: http://127.0.0.1:${receiverPort}/ # the local receiver, port ${receiverPort}
          webhookMethod: POST
`;
}

async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Whole or not at all, and for this user only: it holds a write key. */
async function replaceFile(path: string, text: string): Promise<void> {
  const unfinished = `${path}.unfinished`;
  await writeFile(unfinished, text, { mode: 0o600 });
  await rename(unfinished, path);
}
