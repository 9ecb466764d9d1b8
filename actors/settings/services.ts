// Settings of the services behind the gateway: where the configuration comes from when it is no file.

import { integer, text } from '../../runtime/index.ts';

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
