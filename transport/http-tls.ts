// Certificate and key of the HTTP listener: read and tried before either engine gets them, because both say little about
// what is wrong with them.

import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { TransportError } from './errors.ts';

/** PEM files. */
export interface TlsFiles {
  certFile: string;
  keyFile: string;
}

export interface TlsContent {
  cert: Buffer;
  key: Buffer;
}

/** Throws TransportError TLS_UNUSABLE. */
export function readTls(files: TlsFiles): TlsContent {
  try {
    const content = { cert: readFileSync(files.certFile), key: readFileSync(files.keyFile) };
    createSecureContext(content);
    return content;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message = `expected a certificate and its key (PEM) in ${files.certFile} and ${files.keyFile}, got: ${reason}`;
    throw new TransportError('TLS_UNUSABLE', message, { cause });
  }
}
