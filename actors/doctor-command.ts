// The command doctor: looks at everything a start needs, on the database a start would use, and says for each thing
// what was found and how to mend it. A running Sluice on the same data is not disturbed.

import { get } from 'node:http';
import type { ActorLog } from '../runtime/index.ts';
import { findRunningPostgres } from '../transport/index.ts';
import { exitCodes } from './cli.ts';
import { type CommandDatabase, withCommandDatabase } from './command-database.ts';
import type { Settings } from './config.ts';
import { toStartError } from './database.ts';
import { type Finding, failed, passed } from './doctor/contract.ts';
import {
  checkDataDisk,
  checkHttpEngine,
  checkNode,
  checkOpenFiles,
  checkSharedMemory,
} from './doctor/machine-checks.ts';
import { hasFailed, reportJson, reportText } from './doctor/report.ts';
import { checkPostgres } from './doctor/server-checks.ts';
import { runStartChecks, type StartCheck } from './start-checks.ts';
import { migrationStates } from './storage/migrate.ts';
import { isInUse } from './storage/ownership.ts';

export interface DoctorOptions {
  settings: Settings;
  log: ActorLog;
  json: boolean;
  version: string;
  nodeVersion: string;
  nowMs(): number;
  monotonicMs(): number;
}

/** Per lane: the writer, the reader, the inbox, maintenance, the ledger's check, look-ups. */
const connectionsPerLane = 6;
/** Main's own, the gateway's, the services' and the lease's. */
const connectionsOfMain = 8;
const portAnswerMs = 2_000;

export async function runDoctorCommand(options: DoctorOptions): Promise<{ exitCode: number; out: string }> {
  const { settings, version, json } = options;
  const findings = [
    checkNode(options.nodeVersion),
    await checkHttpEngine(settings.http.engine),
    await checkOpenFiles(),
    ...(await checkStart(settings)),
    ...(await checkDatabase(options)),
  ];
  const exitCode = hasFailed(findings) ? exitCodes.found : exitCodes.ok;
  return { exitCode, out: json ? reportJson(version, findings) : reportText(version, findings) };
}

async function checkStart(settings: Settings): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const check of await runStartChecks(settings)) findings.push(await toFinding(check, settings));
  return findings;
}

async function toFinding(check: StartCheck, { gateway, admin }: Settings): Promise<Finding> {
  if (check.ok) return passed(check.name, check.text);
  if (check.code === 'EADDRINUSE') {
    const [host, port, path] =
      check.name === 'admin port' ? [admin.host, admin.port, '/livez'] : [gateway.host, gateway.port, '/health'];
    if (check.name !== 'starter receiver port' && (await isSluice(host, port, path))) {
      return passed(check.name, `${port} is used by a running Sluice`);
    }
    // The receiver has nothing to be known by: it is a Sluice's when the gateway is.
    const isOurs = check.name === 'starter receiver port' && (await isSluice(gateway.host, gateway.port, '/health'));
    if (isOurs) return passed(check.name, 'used by a running Sluice');
  }
  return failed(check.name, check.problem, check.fix);
}

/** Whether what listens there answers as ours does. */
function isSluice(host: string, port: number, path: string): Promise<boolean> {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return new Promise((settle) => {
    const request = get({ host: reachable, port, path, timeout: portAnswerMs, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => {
        if (text.length < 4_096) text += piece;
      });
      response.once('end', () =>
        settle(path === '/livez' ? response.statusCode === 200 : text.includes('"appType":"EMBEDDED"')),
      );
    });
    request.once('timeout', () => request.destroy());
    request.once('error', () => settle(false));
  });
}

async function checkDatabase(options: DoctorOptions): Promise<Finding[]> {
  const { settings, log } = options;
  const wasRunning = settings.postgres.url === '' && findRunningPostgres(settings.data.dir) !== undefined;
  try {
    return await withCommandDatabase({ settings, log, create: true }, async (database) => [
      passed('database', `answers (${database.description})`),
      ...(await checkOwnDisk(database)),
      ...(await checkServerOf(database, options)),
    ]);
  } catch (error) {
    const { message, fix } = toStartError(error);
    return [failed('database', `${message}${wasRunning ? ' It runs, but does not answer.' : ''}`, fix)];
  }
}

async function checkOwnDisk({ dataDirectory }: CommandDatabase): Promise<Finding[]> {
  if (dataDirectory === undefined) return [];
  return [...(await checkDataDisk(dataDirectory)), await checkSharedMemory()];
}

async function checkServerOf({ postgres }: CommandDatabase, options: DoctorOptions): Promise<Finding[]> {
  const { settings, nowMs, monotonicMs } = options;
  return await postgres.withSession(async (session) => {
    const connectionsNeeded = settings.storage.lanes * connectionsPerLane + connectionsOfMain;
    const findings = await checkPostgres({ session, connectionsNeeded, nowMs, monotonicMs });
    const states = await migrationStates(session).catch((error: unknown) => toStartError(error));
    if (!Array.isArray(states)) return [...findings, failed('tables', states.message, states.fix)];
    const missing = states.filter(({ appliedAtMs }) => appliedAtMs === undefined).length;
    const tables = missing === 0 ? 'those of this version' : `a start brings them up to date (${missing} steps)`;
    const user = (await isInUse(session)) ? 'used by a running Sluice' : 'not used by a Sluice now';
    return [...findings, passed('tables', `${tables}; ${user}`)];
  });
}
