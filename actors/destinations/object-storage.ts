// S3, GCS, AZURE_BLOB, MINIO and DIGITAL_OCEAN_SPACES: events as they are, collected into files by the batch router
// (spec/delivery.md 2.4). Their jobs are the event itself, one line of a file later.

import { sendEvent } from './custom-message.ts';
import { defineDestination } from './define-destination.ts';
import type { DestinationType } from './destination.ts';
import { flag, lines, type SettingsShape, text } from './settings.ts';

const prefix = text('folder that everything is put into', '');
const keys = { accessKeyID: text('key'), secretAccessKey: text('its secret') } as const;

export const objectStores: readonly DestinationType[] = [
  store('S3', 'Amazon S3', {
    bucketName: text('name of the bucket'),
    prefix,
    enableSSE: flag('have files encrypted by S3'),
    region: text('AWS region; empty: that of the bucket', ''),
    roleBasedAuth: flag('use `iamRoleARN` instead of keys'),
    iamRoleARN: text('role to take on', ''),
    accessKeyID: text('key', ''),
    secretAccessKey: text('its secret', ''),
  }),
  store('GCS', 'Google Cloud Storage', {
    bucketName: text('name of the bucket'),
    prefix,
    credentials: lines('key of a service account, as JSON; empty: the credentials of the machine', ''),
  }),
  store('AZURE_BLOB', 'Azure Blob Storage', {
    containerName: text('name of the container'),
    prefix,
    accountName: text('name of the account'),
    accountKey: text('its key', ''),
    useSASTokens: flag('use `sasToken` instead of the key'),
    sasToken: text('shared access signature', ''),
  }),
  store('MINIO', 'MinIO', {
    bucketName: text('name of the bucket'),
    prefix,
    endPoint: text('`host:port` of the server'),
    ...keys,
    useSSL: flag('connect by TLS', true),
  }),
  store('DIGITAL_OCEAN_SPACES', 'DigitalOcean Spaces', {
    bucketName: text('name of the space'),
    prefix,
    endPoint: text('host of the region'),
    ...keys,
  }),
];

function store(name: string, vendor: string, settings: SettingsShape): DestinationType {
  return defineDestination({
    name,
    deliveredBy: 'batch',
    summary: `events as they are, in files of ${vendor}`,
    settings,
    prepare: () => () => sendEvent,
  });
}
