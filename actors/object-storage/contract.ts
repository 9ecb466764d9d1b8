// Object storage as the rest of the product sees it: a few operations that every store has, over keys the caller makes.
// Putting the same key again replaces what was there, so whoever may have to do a thing twice names it by what it is.

export interface ObjectStorage {
  /** Whole or not at all; replaces what was there. */
  put(key: string, body: Uint8Array, contentType: string): Promise<void>;
  /** Undefined when there is none. */
  get(key: string): Promise<Buffer | undefined>;
  /** At most `limit` objects whose keys begin with `prefix`, ascending, after the key `after`. */
  list(prefix: string, limit: number, after?: string): Promise<StoredObject[]>;
  close(): Promise<void>;
}

export interface StoredObject {
  key: string;
  bytes: number;
}

interface BucketPlace {
  bucket: string;
  /** Put before every key; '' or ending in a slash. */
  prefix: string;
  /** URL of the server; '': that of its vendor. */
  endpoint: string;
}

export type StoragePlace =
  | { provider: 'local'; folder: string; prefix: string }
  | ({
      provider: 's3';
      region: string;
      accessKeyId: string;
      secretAccessKey: string;
      sessionToken: string;
    } & BucketPlace)
  /** `credentials`: a service account as JSON. */
  | ({ provider: 'gcs'; credentials: string } & BucketPlace)
  | ({ provider: 'azure'; account: string; accountKey: string; sasToken: string } & BucketPlace);

export type StorageErrorCode = 'UNREACHABLE' | 'REFUSED' | 'BAD_PLACE';

/** `message` holds no secrets and no contents: it is shown and logged. */
export class ObjectStorageError extends Error {
  override readonly name = 'ObjectStorageError';
  readonly code: StorageErrorCode;
  /** The same may succeed later. */
  readonly retryable: boolean;

  constructor(code: StorageErrorCode, message: string, retryable: boolean) {
    super(message);
    this.code = code;
    this.retryable = retryable;
  }
}
