// Every product setting, in one table: type, default, bounds and documentation, one file of settings/ per system. The
// environment name of a key is derived from its path (`router.retryBackoffMsMin` → `SLUICE_ROUTER_RETRY_BACKOFF_MS_MIN`);
// so are the flag (`--router.retryBackoffMsMin`) and the row of the README's table. Parsed once in main.ts, frozen,
// passed down.

import { type ConfigOf, defineConfig } from '../runtime/index.ts';
import { parseProxies, trustedProxiesExpected } from './gateway/client-address.ts';
import { parseSplits, splitsExpected } from './isolation.ts';
import { dedupSettings } from './settings/dedup.ts';
import { egressSettings } from './settings/egress.ts';
import { enrichmentSettings } from './settings/enrichment.ts';
import { gatewaySettings, httpSettings } from './settings/gateway.ts';
import {
  archivalSettings,
  eventSchemaSettings,
  reportingSettings,
  trackedUsersSettings,
} from './settings/observers.ts';
import {
  adminSettings,
  dataSettings,
  drainSettings,
  logSettings,
  postgresSettings,
  roleSetting,
  starterSettings,
  threadSettings,
  workspaceSettings,
} from './settings/process.ts';
import { processorSettings } from './settings/processor.ts';
import { routerSettings } from './settings/router.ts';
import {
  backendConfigSettings,
  diagnosticsSettings,
  rateLimitSettings,
  suppressionSettings,
  transformerSettings,
} from './settings/services.ts';
import { storageSettings } from './settings/storage.ts';
import { transformationSettings } from './settings/transformations.ts';

export const settingsSchema = defineConfig(
  {
    role: roleSetting,
    workspace: workspaceSettings,
    backendConfig: backendConfigSettings,
    data: dataSettings,
    postgres: postgresSettings,
    http: httpSettings,
    gateway: gatewaySettings,
    rateLimit: rateLimitSettings,
    suppression: suppressionSettings,
    transformer: transformerSettings,
    diagnostics: diagnosticsSettings,
    admin: adminSettings,
    threads: threadSettings,
    storage: storageSettings,
    processor: processorSettings,
    dedup: dedupSettings,
    enrichment: enrichmentSettings,
    router: routerSettings,
    transformations: transformationSettings,
    reporting: reportingSettings,
    trackedUsers: trackedUsersSettings,
    eventSchemas: eventSchemaSettings,
    archival: archivalSettings,
    egress: egressSettings,
    drain: drainSettings,
    log: logSettings,
    starter: starterSettings,
  },
  [
    {
      paths: ['postgres.url'],
      expected: 'a URL like postgres://user:password@host:5432/database',
      holds: ({ postgres }) => postgres.url === '' || isPostgresUrl(postgres.url),
    },
    {
      paths: ['backendConfig.url', 'backendConfig.token'],
      expected: 'a URL like https://host, and a token for it',
      holds: ({ backendConfig: { url, token } }) => url === '' || (isHttpUrl(url) && token !== ''),
    },
    {
      paths: ['backendConfig.url', 'workspace.file'],
      expected: 'the workspace configuration to come from one of them',
      holds: ({ backendConfig, workspace }) => backendConfig.url === '' || workspace.file === '',
    },
    {
      paths: ['transformer.url'],
      expected: 'a URL like http://host:9090',
      holds: ({ transformer: { url } }) => url === '' || isHttpUrl(url),
    },
    {
      paths: ['egress.proxy'],
      expected: 'a URL like http://host:3128',
      holds: ({ egress: { proxy } }) => proxy === '' || isHttpUrl(proxy),
    },
    {
      paths: ['diagnostics.url', 'diagnostics.writeKey'],
      expected: 'a URL like https://host, and a write key of a source there',
      holds: ({ diagnostics: { url, writeKey } }) => url === '' || (isHttpUrl(url) && writeKey !== ''),
    },
    {
      paths: ['reporting.url'],
      expected: 'a URL like https://host',
      holds: ({ reporting: { url } }) => url === '' || isHttpUrl(url),
    },
    {
      paths: ['eventSchemas.forwardUrl'],
      expected: 'a URL like https://host/path',
      holds: ({ eventSchemas: { forwardUrl } }) => forwardUrl === '' || isHttpUrl(forwardUrl),
    },
    {
      paths: ['archival.storage', 'archival.bucket'],
      expected: 'archival.bucket to be set for a storage that is not local',
      holds: ({ archival: { storage, bucket } }) => storage === 'none' || storage === 'local' || bucket !== '',
    },
    {
      paths: ['suppression.url', 'suppression.token', 'backendConfig.token'],
      expected: 'suppression.url to be a URL like https://host, with a token',
      holds: ({ suppression: { url, token }, backendConfig }) =>
        url === '' || (isHttpUrl(url) && (token !== '' || backendConfig.token !== '')),
    },
    {
      paths: ['rateLimit.store', 'rateLimit.redisUrl'],
      expected: 'rateLimit.redisUrl to be a URL like redis://host:6379 when the store is redis',
      holds: ({ rateLimit: { store, redisUrl } }) => store !== 'redis' || /^rediss?:\/\/./.test(redisUrl),
    },
    {
      paths: ['admin.host', 'admin.token'],
      expected: 'an address of this machine only (127.0.0.1, ::1 or localhost) unless admin.token is set',
      holds: ({ admin }) => admin.token !== '' || isLoopback(admin.host),
    },
    {
      paths: ['gateway.port', 'admin.port'],
      expected: 'two different ports (or 0)',
      holds: ({ gateway, admin }) => gateway.port === 0 || gateway.port !== admin.port,
    },
    {
      paths: ['gateway.port', 'admin.port', 'starter.receiverPort', 'workspace.file', 'backendConfig.url'],
      expected: 'starter.receiverPort to be a port of its own (or 0) while the starter workspace is used',
      holds: ({ gateway, admin, starter, workspace, backendConfig }) =>
        workspace.file !== '' ||
        backendConfig.url !== '' ||
        starter.receiverPort === 0 ||
        ![gateway.port, admin.port].includes(starter.receiverPort),
    },
    {
      paths: ['processor.shards'],
      expected: splitsExpected,
      holds: ({ processor }) => parseSplits(processor.shards) !== undefined,
    },
    {
      paths: ['router.shards'],
      expected: splitsExpected,
      holds: ({ router }) => parseSplits(router.shards) !== undefined,
    },
    {
      paths: ['gateway.tlsCertFile', 'gateway.tlsKeyFile'],
      expected: 'both files or none',
      holds: ({ gateway }) => (gateway.tlsCertFile === '') === (gateway.tlsKeyFile === ''),
    },
    {
      paths: ['gateway.proxyProtocol', 'http.engine'],
      expected: 'http.engine not to be node, which does not know the PROXY protocol',
      holds: ({ gateway, http }) => !gateway.proxyProtocol || http.engine !== 'node',
    },
    {
      paths: ['gateway.trustedProxies'],
      expected: trustedProxiesExpected,
      holds: ({ gateway }) => parseProxies(gateway.trustedProxies) !== undefined,
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
      paths: ['storage.diskRefuseBytes', 'storage.diskShedBytes', 'storage.diskWarnBytes'],
      expected: 'diskRefuseBytes to be at most diskShedBytes, and that at most diskWarnBytes',
      holds: ({ storage: { diskRefuseBytes, diskShedBytes, diskWarnBytes } }) =>
        diskRefuseBytes <= diskShedBytes && diskShedBytes <= diskWarnBytes,
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

function isHttpUrl(url: string): boolean {
  return /^https?:\/\/./.test(url) && URL.canParse(url);
}

/** A user without a host (`postgres://user@/database?host=/run/postgresql`, a unix socket) is no URL to the letter. */
function isPostgresUrl(url: string): boolean {
  return /^postgres(ql)?:\/\/./.test(url) && URL.canParse(url.replace('@/', '@socket/'));
}
