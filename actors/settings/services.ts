// Settings of the services behind the gateway: where the configuration comes from when it is no
// file, and what sources may send.

import { boolean, choice, integer, list, text } from '../../runtime/index.ts';

export const backendConfigSettings = {
  url: text({
    default: '',
    doc: 'Control plane that the workspace configuration is polled from, instead of workspace.file. Empty: none',
  }),
  token: text({
    default: '',
    secret: true,
    doc: 'Workspace token of the control plane, or the secret of the namespace',
  }),
  namespace: text({
    default: '',
    doc: 'Namespace whose workspaces are all served, with incremental updates. Empty: the one workspace of the token',
  }),
  pollMs: integer({ default: 5_000, min: 100, max: 86_400_000, doc: 'Pause between two looks at the control plane' }),
  timeoutMs: integer({
    default: 30_000,
    min: 100,
    max: 600_000,
    doc: 'Longest wait for an answer of the control plane',
  }),
  firstAnswerMs: integer({
    default: 3_000,
    min: 0,
    max: 600_000,
    doc: 'How long a start waits for the control plane before it takes the last good configuration from the cache',
  }),
  cacheSecret: text({
    default: '',
    secret: true,
    doc: 'Secret that the kept copies of the configuration are encrypted with (data folder and Postgres). Empty: made of the token',
  }),
  environmentPrefix: text({
    default: '',
    doc: "Environment variables that a control plane's configuration may name as env.NAME begin with this. Empty: it may name none",
  }),
};

export const rateLimitSettings = {
  sourceEvents: integer({
    default: 0,
    min: 0,
    max: 1_000_000_000,
    doc: "Events a source may send per window; beyond: 429. 0: no limit. A source's own `rateLimit: {events, windowMs}` counts before it",
  }),
  workspaceEvents: integer({
    default: 0,
    min: 0,
    max: 1_000_000_000,
    doc: "The same for all sources of a workspace together; a workspace's own `rateLimit` counts before it",
  }),
  windowMs: integer({ default: 60_000, min: 1, max: 86_400_000, doc: 'Window of sourceEvents and workspaceEvents' }),
  store: choice(['memory', 'postgres', 'redis'], {
    default: 'memory',
    doc: 'Where processes share what they let pass. memory: each limits by itself',
  }),
  redisUrl: text({ default: '', secret: true, doc: 'Redis of the store redis: redis://user:password@host:6379' }),
  sharePauseMs: integer({
    default: 100,
    min: 1,
    max: 60_000,
    doc: 'Shortest pause between two exchanges with the store',
  }),
};

export const suppressionSettings = {
  store: choice(['off', 'memory', 'full', 'recent'], {
    default: 'off',
    doc: 'Where users whose events must not be stored are kept: in memory, all of them in the data folder, or there those of the last recentDays. off: nobody is suppressed',
  }),
  url: text({
    default: '',
    doc: 'Control plane that suppressions are polled from. Empty: that of backendConfig.url, else only the admin API suppresses',
  }),
  token: text({ default: '', secret: true, doc: 'Token for it. Empty: backendConfig.token' }),
  pollMs: integer({ default: 300_000, min: 100, max: 86_400_000, doc: 'Pause between two looks for suppressions' }),
  pageSize: integer({ default: 5_000, min: 1, max: 100_000, doc: 'Suppressions asked for at once' }),
  recentDays: integer({ default: 30, min: 1, max: 3_650, doc: 'Window of the store recent' }),
  passUnknown: boolean({
    default: false,
    doc: 'Accept events while it is not known yet who is suppressed; otherwise they are answered 503',
  }),
};

const isTypeName = (entry: string): boolean => /^(?:\*|[A-Za-z0-9_]{1,100})$/.test(entry);

export const transformerSettings = {
  url: text({
    default: '',
    doc: 'Transformer (the HTTP API of rudder-transformer) for destination types Sluice does not know itself, and for webhook sources other than generic ones. Empty: events for the first are aborted, the second answered 503',
  }),
  remoteTypes: list({
    default: [],
    of: 'names of destination types, or "*"',
    isGood: isTypeName,
    doc: 'Destination types that it transforms although Sluice could; * for all. What it transforms waits for it when it is away, and nothing else does',
  }),
  jobsMax: integer({ default: 100, min: 1, max: 1_000, doc: 'Events of one destination it is asked about at once' }),
  batchTypes: list({
    default: [],
    of: 'names of destination types',
    isGood: isTypeName,
    doc: 'Destination types transformed by Sluice whose requests it puts together before they are sent (its /batch)',
  }),
  proxyTypes: list({
    default: [],
    of: 'names of destination types',
    isGood: isTypeName,
    doc: 'Destination types whose requests it sends itself (its proxy); all others are sent by Sluice',
  }),
  userTransformations: choice(['embedded', 'remote'], {
    default: 'embedded',
    doc: 'Where customers’ JavaScript runs: here, or in the transformer (only code that has a version). Other languages always run there',
  }),
  userUrl: text({ default: '', doc: 'Another address of what runs customers’ code. Empty: url' }),
  pythonUrl: text({ default: '', doc: 'Another address of what runs customers’ Python. Empty: userUrl' }),
  deliveryUrl: text({ default: '', doc: 'Another address of its proxy. Empty: url' }),
  pollMs: integer({ default: 10_000, min: 100, max: 86_400_000, doc: 'Pause between two looks at its features' }),
  timeoutMs: integer({ default: 30_000, min: 100, max: 600_000, doc: 'Longest wait for an answer of the transformer' }),
};

export const diagnosticsSettings = {
  url: text({
    default: '',
    doc: 'Data plane that figures of this program are sent to as events. Empty: none are sent anywhere',
  }),
  writeKey: text({ default: '', secret: true, doc: 'Write key of a source there' }),
  everyMs: integer({ default: 60_000, min: 1_000, max: 86_400_000, doc: 'Pause between two sendings' }),
};
