// Settings of the HTTP edge: what it listens on, what it takes at once and how long a request may wait.

import { boolean, choice, integer, text } from '../../runtime/index.ts';
import { mebibyte } from './sizes.ts';

export const gatewaySettings = {
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
};

export const httpSettings = {
  engine: choice(['auto', 'uws', 'node'], {
    default: 'auto',
    doc: 'HTTP server: uWebSockets.js, node:http, or the first that loads',
  }),
};
