// Every product setting, in one table: type, default, bounds and documentation. The environment name of a key is
// derived from its path (`router.retryBackoffMsMin` → `SLUICE_ROUTER_RETRY_BACKOFF_MS_MIN`); so are the flag
// (`--router.retryBackoffMsMin`) and the row of the README's table. Parsed once in main.ts, frozen, passed down.

import { availableParallelism } from 'node:os';
import { boolean, type ConfigOf, choice, defineConfig, integer, text } from '../runtime/index.ts';

const mebibyte = 1024 * 1024;

export const settingsSchema = defineConfig(
  {
    workspace: {
      file: text({
        default: '',
        doc: "Workspace configuration (JSON in RudderStack's shape, or the same in YAML). Empty: the starter workspace in the data folder",
      }),
    },
    data: {
      dir: text({ default: './sluice-data', doc: 'Folder for everything that must survive a restart' }),
    },
    postgres: {
      url: text({ default: '', secret: true, doc: 'PostgreSQL 13 to 18 to use instead of the embedded server' }),
      connectTimeoutMs: integer({ default: 5_000, min: 100, max: 600_000, doc: 'Wait for one connection attempt' }),
      statementTimeoutMs: integer({
        default: 30_000,
        min: 100,
        max: 3_600_000,
        doc: 'Longest single statement on a job table',
      }),
    },
    http: {
      engine: choice(['auto', 'uws', 'node'], {
        default: 'auto',
        doc: 'HTTP server: uWebSockets.js, node:http, or the first that loads',
      }),
    },
    gateway: {
      host: text({ default: '0.0.0.0', doc: 'Address the gateway listens on' }),
      port: integer({ default: 8080, min: 0, max: 65_535, doc: 'Port of the gateway; 0 picks a free one' }),
      requestBytesMax: integer({
        default: 4000 * 1024,
        min: 1024,
        max: 48 * mebibyte,
        doc: 'Largest request body, before and after decompression; beyond: 413',
      }),
      requestsInFlightMax: integer({
        default: 50_000,
        min: 1,
        max: 1_000_000,
        doc: 'Requests being handled at once; beyond: 503',
      }),
      storeTimeoutMs: integer({
        default: 10_000,
        min: 100,
        max: 600_000,
        doc: 'Wait for the commit of a request; beyond: 503',
      }),
      storeBytesMax: integer({
        default: 256 * mebibyte,
        min: mebibyte,
        max: 16_384 * mebibyte,
        doc: 'Bytes waiting for a commit; beyond: 503 with Retry-After',
      }),
      allowEventsWithoutIdentity: boolean({ default: false, doc: 'Accept events with neither userId nor anonymousId' }),
    },
    admin: {
      host: text({ default: '127.0.0.1', doc: 'Address of the admin server (status, metrics, health)' }),
      port: integer({ default: 8081, min: 0, max: 65_535, doc: 'Port of the admin server; 0 picks a free one' }),
    },
    threads: {
      actors: integer({
        default: Math.min(256, Math.max(1, availableParallelism() - 2)),
        min: 1,
        max: 256,
        doc: 'Actor threads (processor and router); default: cores - 2, at least 1',
        defaultText: 'cores - 2, at least 1',
      }),
    },
    storage: {
      groupRowsMax: integer({ default: 5_000, min: 1, max: 100_000, doc: 'Rows in one group commit' }),
      groupBytesMax: integer({
        default: 16 * mebibyte,
        min: 64 * 1024,
        max: 1024 * mebibyte,
        doc: 'Bytes in one group commit',
      }),
      copyRowsMin: integer({
        default: 64,
        min: 1,
        max: 100_000,
        doc: 'From this many rows on a group uses COPY, below one INSERT statement',
      }),
      handOffBytesMax: integer({
        default: 64 * mebibyte,
        min: mebibyte,
        max: 16_384 * mebibyte,
        doc: 'Committed jobs kept in memory for hand-off; beyond: read back from Postgres',
      }),
      datasetRowsMax: integer({
        default: 500_000,
        min: 100,
        max: 100_000_000,
        doc: 'Jobs in a dataset before it is rolled',
      }),
      datasetBytesMax: integer({
        default: 1024 * mebibyte,
        min: mebibyte,
        max: 102_400 * mebibyte,
        doc: 'Bytes in a dataset before it is rolled',
      }),
      retentionMs: integer({
        default: 86_400_000,
        min: 0,
        max: 31_536_000_000,
        doc: 'Finished datasets are kept this long for look-up',
      }),
      retentionBytesMax: integer({
        default: 10_240 * mebibyte,
        min: 0,
        max: Number.MAX_SAFE_INTEGER,
        doc: 'Bytes of datasets kept per queue; beyond, the oldest finished one is dropped',
      }),
      readRowsMax: integer({
        default: 5_000,
        min: 1,
        max: 100_000,
        doc: 'Rows of one backlog read, over all partitions',
      }),
      readBytesMax: integer({
        default: 32 * mebibyte,
        min: 64 * 1024,
        max: 128 * mebibyte,
        doc: 'Bytes of one backlog read, over all partitions',
      }),
    },
    processor: {
      isolation: choice(['none', 'workspace', 'source'], {
        default: 'source',
        doc: 'Partition key of the processor. Change it only when nothing is pending: order per user is kept within a partition',
      }),
      slots: integer({ default: 400, min: 1, max: 100_000, doc: 'Jobs one partition may hold at once' }),
      idleMs: integer({
        default: 60_000,
        min: 100,
        max: 86_400_000,
        doc: 'Idle time before a partition actor is put away',
      }),
    },
    router: {
      isolation: choice(['none', 'workspace', 'destination'], {
        default: 'destination',
        doc: 'Partition key of the router. Change it only when nothing is pending: order per user is kept within a partition',
      }),
      slots: integer({ default: 1_000, min: 1, max: 100_000, doc: 'Jobs one partition may hold at once' }),
      requestsInFlightMax: integer({ default: 64, min: 1, max: 10_000, doc: 'Concurrent requests to one destination' }),
      httpTimeoutMs: integer({ default: 10_000, min: 10, max: 600_000, doc: 'Longest single delivery request' }),
      retryBackoffMsMin: integer({
        default: 10_000,
        min: 1,
        max: 86_400_000,
        doc: 'First retry delay; doubles, with full jitter',
      }),
      retryBackoffMsMax: integer({ default: 300_000, min: 1, max: 86_400_000, doc: 'Longest retry delay' }),
      retryWindowMs: integer({
        default: 180 * 60_000,
        min: 0,
        max: 2_592_000_000,
        doc: 'A job is given up when it is older than this since its first attempt and has had attemptsMax attempts',
      }),
      attemptsMax: integer({ default: 3, min: 1, max: 1_000_000, doc: 'See retryWindowMs: both must be exceeded' }),
      idleMs: integer({
        default: 60_000,
        min: 100,
        max: 86_400_000,
        doc: 'Idle time before a partition actor is put away',
      }),
    },
    drain: {
      deadlineMs: integer({
        default: 25_000,
        min: 0,
        max: 3_600_000,
        doc: 'Time a clean stop may take before it is cut short',
      }),
    },
    log: {
      level: choice(['debug', 'info', 'warn', 'error'], { default: 'info', doc: 'Least severe log line written' }),
      format: choice(['auto', 'json', 'pretty'], {
        default: 'auto',
        doc: 'auto: pretty on a terminal, JSON otherwise',
      }),
    },
    starter: {
      receiverPort: integer({
        default: 8082,
        min: 0,
        max: 65_535,
        doc: "Port of the starter workspace's local receiver; 0 picks a free one",
      }),
    },
  },
  [
    {
      paths: ['postgres.url'],
      expected: 'a URL like postgres://user:password@host:5432/database',
      holds: ({ postgres }) => postgres.url === '' || isPostgresUrl(postgres.url),
    },
    {
      paths: ['admin.host'],
      expected:
        'an address of this machine only (127.0.0.1, ::1 or localhost): the admin server has no authentication yet',
      holds: ({ admin }) => isLoopback(admin.host),
    },
    {
      paths: ['gateway.port', 'admin.port'],
      expected: 'two different ports (or 0)',
      holds: ({ gateway, admin }) => gateway.port === 0 || gateway.port !== admin.port,
    },
    {
      paths: ['gateway.port', 'admin.port', 'starter.receiverPort', 'workspace.file'],
      expected: 'starter.receiverPort to be a port of its own (or 0) while the starter workspace is used',
      holds: ({ gateway, admin, starter, workspace }) =>
        workspace.file !== '' ||
        starter.receiverPort === 0 ||
        ![gateway.port, admin.port].includes(starter.receiverPort),
    },
    {
      paths: ['router.retryBackoffMsMin', 'router.retryBackoffMsMax'],
      expected: 'retryBackoffMsMin to be at most retryBackoffMsMax',
      holds: ({ router }) => router.retryBackoffMsMin <= router.retryBackoffMsMax,
    },
    {
      paths: ['storage.copyRowsMin', 'storage.groupRowsMax'],
      expected: 'copyRowsMin to be at most groupRowsMax',
      holds: ({ storage }) => storage.copyRowsMin <= storage.groupRowsMax,
    },
    {
      paths: ['gateway.requestBytesMax', 'gateway.storeBytesMax'],
      expected: 'storeBytesMax to hold at least one largest request (requestBytesMax)',
      holds: ({ gateway }) => gateway.requestBytesMax <= gateway.storeBytesMax,
    },
  ],
);

export type Settings = ConfigOf<typeof settingsSchema>;

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

function isPostgresUrl(url: string): boolean {
  return /^postgres(ql)?:\/\/./.test(url) && URL.canParse(url);
}
