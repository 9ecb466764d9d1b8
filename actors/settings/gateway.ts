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
  bodyTimeoutMs: integer({
    default: 30_000,
    min: 100,
    max: 3_600_000,
    doc: 'From the headers of a request to the end of its body; beyond: 408',
  }),
  headersTimeoutMs: integer({
    default: 10_000,
    min: 100,
    max: 600_000,
    doc: 'Time for the headers of a request (engine node; uws has 10 s)',
  }),
  keepAliveTimeoutMs: integer({
    default: 720_000,
    min: 1_000,
    max: 3_600_000,
    doc: 'Silence before a kept connection is closed (engine node; uws has 10 s)',
  }),
  tlsCertFile: text({ default: '', doc: 'Certificate chain (PEM) of the gateway; empty: plain HTTP' }),
  tlsKeyFile: text({ default: '', doc: 'Private key (PEM) of tlsCertFile' }),
  proxyProtocol: boolean({
    default: false,
    doc: 'Take the client address from the PROXY protocol (version 2) header of a connection; engine uws only. Only behind a proxy that always sends one',
  }),
  memoryBytesMax: integer({
    default: 0,
    min: 0,
    max: 1_099_511_627_776,
    doc: 'Resident memory of the process from which on new requests are answered 503; 0: 85 % of what the process may use',
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
  commitLagMsMax: integer({
    default: 2_000,
    min: 50,
    max: 600_000,
    doc: 'Age of the oldest commit from which on new requests are answered 503 at once',
  }),
  eventBytesMax: integer({
    default: 4000 * 1024,
    min: 1024,
    max: 48 * mebibyte,
    doc: 'Largest single event; beyond: that event is refused with 413, its neighbours are stored',
  }),
  batchEventsMax: integer({ default: 20_000, min: 1, max: 20_000, doc: 'Events of one request; beyond: 413' }),
  jsonDepthMax: integer({
    default: 512,
    min: 8,
    max: 512,
    doc: 'JSON containers inside each other, the batch included; beyond: 400',
  }),
  trustedProxies: text({
    default: '127.0.0.0/8,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7',
    doc: 'Addresses and subnets whose X-Forwarded-For is believed, right to left, for the client address of events; empty: nobody',
  }),
  jobStatusRetentionMs: integer({
    default: 259_200_000,
    min: 60_000,
    max: 31_536_000_000,
    doc: 'Counters and failed records of a job run are kept this long after its last event',
  }),
  webhookFailureRetentionMs: integer({
    default: 2_592_000_000,
    min: 60_000,
    max: 31_536_000_000,
    doc: 'Webhooks that became no events are kept this long',
  }),
  webhookFailureBytesMax: integer({
    default: 64 * mebibyte,
    min: mebibyte,
    max: 16_384 * mebibyte,
    doc: 'Webhooks of one source that became no events are kept up to this many bytes, the newest',
  }),
  requireDestinationIdHeader: boolean({
    default: false,
    doc: 'Refuse /internal/v1/retl without X-Rudder-Destination-Id',
  }),
  internalBatchEventsMax: integer({
    default: 0,
    min: 0,
    max: 1_000_000_000,
    doc: 'Events that /internal/v1/batch takes per internalBatchWindowMs, as X-Batch-Size tells them; beyond: 429. 0: no limit',
  }),
  internalBatchWindowMs: integer({ default: 1_000, min: 1, max: 3_600_000, doc: 'Window of internalBatchEventsMax' }),
  allowEventsWithoutIdentity: boolean({ default: false, doc: 'Accept events with neither userId nor anonymousId' }),
};

export const httpSettings = {
  engine: choice(['auto', 'uws', 'node'], {
    default: 'auto',
    doc: 'HTTP server: uWebSockets.js, node:http, or the first that loads',
  }),
};
