// The log of one thread: pino, written synchronously to standard error, so that the last line before a crash is there
// and no thread of its own is needed. Standard output stays free for what the program is asked to print.
// Event bodies and secrets never enter a log line; the field names below are the net for a slip.

import { isatty } from 'node:tty';
import { pino } from 'pino';
import pretty from 'pino-pretty';
import type { ActorLog } from '../runtime/index.ts';
import type { Settings } from './config.ts';

/** Fields that hold a secret or an event, at the top of a line or one level down. */
const hiddenFields = [
  'writeKey',
  'authorization',
  'password',
  'secret',
  'token',
  'payload',
  'body',
  'event',
  'headers',
];

export interface LogSink {
  write(line: string): void;
}

/** `sink` is for tests; the default is standard error. */
export function createLog(settings: Settings['log'], threadName: string, sink?: LogSink): ActorLog {
  const isTerminal = sink === undefined && isatty(2);
  const isPretty = settings.format === 'pretty' || (settings.format === 'auto' && isTerminal);
  const plain = sink ?? pino.destination({ dest: 2, sync: true });
  const stream = isPretty ? prettyStream(sink, isTerminal) : plain;
  const logger = pino(
    {
      level: settings.level,
      base: null,
      messageKey: 'text',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: plainError, cause: plainError },
      redact: { paths: hiddenFields.flatMap((field) => [field, `*.${field}`]), censor: '(hidden)' },
    },
    stream,
  );
  // A line that main writes for another thread says so itself; as pino's base, `thread` would stand in it twice.
  const thread = threadName;
  return {
    debug: (fields, text) => logger.debug({ thread, ...fields }, text),
    info: (fields, text) => logger.info({ thread, ...fields }, text),
    warn: (fields, text) => logger.warn({ thread, ...fields }, text),
    error: (fields, text) => logger.error({ thread, ...fields }, text),
  };
}

function prettyStream(sink: LogSink | undefined, colorize: boolean): LogSink {
  const common = {
    sync: true,
    colorize,
    messageKey: 'text',
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'thread',
    messageFormat: '{thread}: {text}',
  };
  if (sink === undefined) return pretty({ ...common, destination: 2 });
  const format = pretty.prettyFactory(common);
  return { write: (line) => sink.write(format(line)) };
}

/** Only what we know to be free of row values and bodies: drivers hang those on their errors as further properties. */
function plainError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const code = 'code' in error ? { code: error.code } : {};
  const cause = error.cause === undefined ? {} : { cause: plainError(error.cause) };
  return { name: error.name, ...code, message: error.message, stack: error.stack, ...cause };
}
