// Opens object storage: of the program by its settings, or of a workspace by its bucket in the control plane's shape.

import { join, resolve } from 'node:path';
import type { Settings } from '../config.ts';
import type { BucketConfig } from '../services/workspace.ts';
import { AzureStorage } from './azure-storage.ts';
import { type ObjectStorage, ObjectStorageError, type StoragePlace } from './contract.ts';
import { GcsStorage } from './gcs-storage.ts';
import { LocalStorage } from './local-storage.ts';
import { S3Storage } from './s3-storage.ts';
import { StorageHttp, type StorageHttpOptions } from './storage-http.ts';

export interface OpenStorageOptions extends StorageHttpOptions {
  nowMs(): number;
}

/** Nothing is connected to yet. Throws ObjectStorageError BAD_PLACE when it cannot be one. */
export function openObjectStorage(place: StoragePlace, options: OpenStorageOptions): ObjectStorage {
  if (place.provider === 'local') return new LocalStorage(place.folder, place.prefix);
  if (place.endpoint !== '' && !URL.canParse(place.endpoint)) {
    throw new ObjectStorageError('BAD_PLACE', 'expected the endpoint of the object storage to be a URL', false);
  }
  const http = new StorageHttp(options);
  switch (place.provider) {
    case 's3':
      return new S3Storage(place, http, options.nowMs);
    case 'gcs':
      return new GcsStorage(place, http, options.nowMs);
    case 'azure':
      return new AzureStorage(place, http, options.nowMs);
  }
}

/** Undefined: the operator has set none. */
export function placeOfSettings({ archival, data }: Pick<Settings, 'archival' | 'data'>): StoragePlace | undefined {
  const { storage, folder, bucket, region, endpoint, accessKeyId, secretAccessKey } = archival;
  const prefix = asPrefix(archival.prefix);
  switch (storage) {
    case 'none':
      return undefined;
    case 'local':
      return { provider: 'local', folder: folder === '' ? join(resolve(data.dir), 'archive') : folder, prefix };
    case 's3':
      return { provider: 's3', bucket, prefix, endpoint, region, accessKeyId, secretAccessKey, sessionToken: '' };
    case 'gcs':
      return { provider: 'gcs', bucket, prefix, endpoint, credentials: secretAccessKey };
    case 'azure': {
      const account = { account: accessKeyId, accountKey: secretAccessKey, sasToken: '' };
      return { provider: 'azure', bucket, prefix, endpoint, ...account };
    }
  }
}

/** A workspace's own bucket: type and names as destinations of the field have them. */
export function placeOfBucket({ type, config }: BucketConfig): StoragePlace {
  const text = (...names: string[]): string => {
    for (const name of names) {
      const value = config[name];
      if (typeof value === 'string' && value !== '') return value;
    }
    return '';
  };
  const place = { bucket: text('bucketName', 'containerName'), prefix: asPrefix(text('prefix')) };
  switch (type) {
    case 'S3':
    case 'MINIO':
    case 'DIGITAL_OCEAN_SPACES':
      return {
        provider: 's3',
        ...place,
        endpoint: endpointOf(text('endPoint', 'endpoint'), config.useSSL !== false),
        region: text('region') || 'us-east-1',
        accessKeyId: text('accessKeyID', 'accessKeyId'),
        secretAccessKey: text('accessKey', 'secretAccessKey'),
        sessionToken: text('sessionToken'),
      };
    case 'GCS':
      return { provider: 'gcs', ...place, endpoint: text('endPoint'), credentials: text('credentials') };
    case 'AZURE_BLOB':
      return {
        provider: 'azure',
        ...place,
        endpoint: text('endPoint'),
        account: text('accountName'),
        accountKey: text('accountKey'),
        sasToken: text('sasToken'),
      };
    default:
      throw new ObjectStorageError(
        'BAD_PLACE',
        'expected the storage bucket to be of type S3, MINIO, DIGITAL_OCEAN_SPACES, GCS or AZURE_BLOB, got another',
        false,
      );
  }
}

/** Written with or without a protocol. */
function endpointOf(text: string, isEncrypted: boolean): string {
  if (text === '' || /^https?:\/\//.test(text)) return text;
  return `${isEncrypted ? 'https' : 'http'}://${text}`;
}

function asPrefix(prefix: string): string {
  const plain = prefix.replace(/^\/+|\/+$/g, '');
  return plain === '' ? '' : `${plain}/`;
}
