// The command dead-letters: lists, exports or tries again what was given up, by asking the running program at its admin
// server: only the program that owns a lane may write to it.

import { exitCodes } from './cli.ts';
import type { Settings } from './config.ts';
import { ServiceClient, ServiceError } from './services/service-client.ts';
import { StartError } from './start-error.ts';

export interface DeadLetterParameters {
  action: 'list' | 'export' | 'retry';
  /** Names as in the admin API, and their values. */
  filter: Readonly<Record<string, string>>;
}

interface Listed {
  jobId: number;
  queue: string;
  messageId: string;
  abortedAtMs: number;
  code: number;
  parameters: { destination_id?: string; source_id?: string };
  answer: { stage?: string; reason?: string };
}

const timeoutMs = 60_000;
const answerBytesMax = 256 * 1024 * 1024;
const reasonCharactersMax = 100;

export async function runDeadLetterCommand(
  { action, filter }: DeadLetterParameters,
  { admin }: Pick<Settings, 'admin'>,
): Promise<{ exitCode: number; out: string }> {
  if (action === 'retry' && Object.keys(filter).length === 0) {
    const fix = 'Name some with --destination, --source, --code or --since.';
    throw new StartError('Nothing says which dead letters to try again.', fix);
  }
  const client = new ServiceClient({ name: 'the admin server', answerBytesMax });
  try {
    const body = await ask(client, { action, filter }, admin);
    return { exitCode: exitCodes.ok, out: action === 'list' ? tableOf(body) : `${body.trimEnd()}\n` };
  } finally {
    await client.close();
  }
}

async function ask(
  client: ServiceClient,
  { action, filter }: DeadLetterParameters,
  { host, port, token }: Settings['admin'],
): Promise<string> {
  const path = action === 'list' ? '/dead-letters' : `/dead-letters/${action}`;
  const url = new URL(`http://${host.includes(':') ? `[${host}]` : host}:${port}${path}`);
  if (action !== 'retry') for (const [name, value] of Object.entries(filter)) url.searchParams.set(name, value);
  const headers: Record<string, string> = token === '' ? {} : { Authorization: `Bearer ${token}` };
  const posted = action === 'retry' ? { method: 'POST' as const, body: Buffer.from(JSON.stringify(filter)) } : {};
  const answer = await client.call({ url, headers, timeoutMs, ...posted }).catch((error: unknown) => {
    if (!(error instanceof ServiceError)) throw error;
    throw new StartError(
      `No answer at ${url.origin}: ${error.message}.`,
      'Start Sluice, or set admin.host and admin.port.',
    );
  });
  const text = answer.body.toString('utf8');
  if (answer.status !== 200) throw new StartError(`The admin server answered ${answer.status}: ${text}`, 'See --help.');
  return text;
}

function tableOf(body: string): string {
  const { deadLetters } = JSON.parse(body) as { deadLetters: Listed[] };
  if (deadLetters.length === 0) return 'Nothing was given up.\n';
  const lines = deadLetters.map(({ jobId, queue, messageId, abortedAtMs, code, parameters, answer }) =>
    [
      new Date(abortedAtMs).toISOString(),
      String(jobId),
      queue,
      parameters.destination_id ?? parameters.source_id ?? '',
      messageId,
      String(code),
      `${answer.stage ?? ''} ${answer.reason ?? ''}`.trim().replaceAll(/\s+/g, ' ').slice(0, reasonCharactersMax),
    ].join('  '),
  );
  return `${lines.join('\n')}\n`;
}
