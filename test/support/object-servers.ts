// Servers that object storage is tested against: s3rver for S3, to which the check of signatures is added that it lacks
// (version 4), and small real HTTP servers of ours that speak what we use of Google's and Azure's APIs. All of them check
// every request's credentials.

import { createHash, createHmac, generateKeyPairSync, verify } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import type { StoragePlace } from '../../actors/object-storage/contract.ts';
import { type Cleanup, temporaryFolder } from './cleanup.ts';

/** It brings no types. */
interface S3Server {
  middleware: ((context: { req: IncomingMessage; status: number }, next: () => Promise<void>) => Promise<void>)[];
  run(): Promise<AddressInfo>;
  close(): Promise<void>;
}
const require = createRequire(import.meta.url);
const S3rver: new (options: object) => S3Server = require('s3rver');

const s3Secret = 'S3RVER';

export async function startS3(cleanup: Cleanup, bucket: string): Promise<Extract<StoragePlace, { provider: 's3' }>> {
  const server = new S3rver({
    port: 0,
    address: '127.0.0.1',
    silent: true,
    directory: await temporaryFolder(cleanup),
    configureBuckets: [{ name: bucket, configs: [] }],
  });
  server.middleware.unshift(async (context, next) => {
    if (isSignedV4(context.req, s3Secret)) await next();
    else context.status = 403;
  });
  const { port } = await server.run();
  cleanup.after(() => server.close());
  const keys = { accessKeyId: 'S3RVER', secretAccessKey: s3Secret, sessionToken: '' };
  return { provider: 's3', bucket, prefix: '', region: 'us-east-1', endpoint: `http://127.0.0.1:${port}`, ...keys };
}

/** By the rules of "Signature Version 4", from what arrived. */
function isSignedV4({ method, url = '', headers }: IncomingMessage, secret: string): boolean {
  const pattern = /Credential=[^/]+\/(\d+)\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=(\w+)/;
  const [, day = '', region = '', names = '', signature] = pattern.exec(headers.authorization ?? '') ?? [];
  const [path = '', query = ''] = url.split('?');
  const own = names.split(';').map((name) => `${name}:${String(headers[name])}\n`);
  const contentHash = String(headers['x-amz-content-sha256']);
  const request = [method, path, query.split('&').sort().join('&'), own.join(''), names, contentHash].join('\n');
  const scope = `${day}/${region}/s3/aws4_request`;
  const hash = createHash('sha256').update(request).digest('hex');
  const keys = [day, region, 's3', 'aws4_request'];
  const key = keys.reduce<string | Buffer>((before, part) => hmac(before, part), `AWS4${secret}`);
  const text = `AWS4-HMAC-SHA256\n${String(headers['x-amz-date'])}\n${scope}\n${hash}`;
  return hmac(key, text).toString('hex') === signature;
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

async function listen(cleanup: Cleanup, listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanup.after(() => void server.close());
  cleanup.after(() => server.closeAllConnections());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

type Objects = Map<string, Buffer>;

/** With a token server, whose tokens last `tokenSeconds`. */
export async function startGcs(cleanup: Cleanup, bucket: string) {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const objects: Objects = new Map();
  const seen = { tokens: 0 };
  const url = await listen(cleanup, (request, response) => {
    void readBody(request).then((body) => {
      const { pathname, searchParams } = new URL(request.url ?? '', 'http://server');
      if (pathname === '/token') {
        const assertion = new URLSearchParams(body.toString()).get('assertion') ?? '';
        const at = assertion.lastIndexOf('.');
        const signature = Buffer.from(assertion.slice(at + 1), 'base64url');
        const isGood = verify('RSA-SHA256', Buffer.from(assertion.slice(0, at)), publicKey, signature);
        seen.tokens += 1;
        answer(response, isGood ? 200 : 401, JSON.stringify({ access_token: `t${seen.tokens}`, expires_in: 3_600 }));
      } else if (!isToken(request.headers.authorization, seen.tokens)) answer(response, 401, '');
      else if (pathname === `/upload/storage/v1/b/${bucket}/o`) {
        objects.set(searchParams.get('name') ?? '', body);
        answer(response, 200, '{}');
      } else if (pathname === `/storage/v1/b/${bucket}/o`) {
        const from = searchParams.get('startOffset') ?? '';
        const max = Number(searchParams.get('maxResults'));
        const items = listed(objects, searchParams.get('prefix') ?? '').filter(([name]) => name >= from);
        const found = items.slice(0, max).map(([name, bytes]) => ({ name, size: String(bytes.byteLength) }));
        answer(response, 200, JSON.stringify(found.length === 0 ? {} : { items: found }));
      } else {
        const name = decodeURIComponent(pathname.slice(`/storage/v1/b/${bucket}/o/`.length));
        answer(response, objects.has(name) ? 200 : 404, objects.get(name) ?? '');
      }
    });
  });
  const account = {
    client_email: 'sluice@example.com',
    private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    token_uri: `${url}/token`,
  };
  const place: StoragePlace = {
    provider: 'gcs',
    bucket,
    prefix: '',
    endpoint: url,
    credentials: JSON.stringify(account),
  };
  return { place, seen };
}

const azureKey = Buffer.from('a key of thirty-two bytes or so..').toString('base64');
const azurePage = 2;

export async function startAzure(cleanup: Cleanup, bucket: string): Promise<StoragePlace> {
  const objects: Objects = new Map();
  const endpoint = await listen(cleanup, (request, response) => {
    void readBody(request).then((body) => {
      const url = new URL(request.url ?? '', 'http://server');
      if (request.headers.authorization !== `SharedKey account:${azureSignature(request, url)}`) {
        answer(response, 403, '');
      } else if (url.searchParams.get('comp') === 'list') {
        const from = url.searchParams.get('marker') ?? '';
        const all = listed(objects, url.searchParams.get('prefix') ?? '').filter(([name]) => name >= from);
        const blobs = all
          .slice(0, azurePage)
          .map(
            ([name, { byteLength }]) =>
              `<Blob><Name>${name.replaceAll('&', '&amp;')}</Name><Properties><Content-Length>${byteLength}</Content-Length></Properties></Blob>`,
          );
        const next = all[azurePage]?.[0] ?? '';
        answer(response, 200, `<E><Blobs>${blobs.join('')}</Blobs><NextMarker>${next}</NextMarker></E>`);
      } else {
        const name = decodeURIComponent(url.pathname.slice(bucket.length + 2));
        if (request.method === 'PUT') objects.set(name, body);
        answer(response, objects.has(name) ? 200 : 404, request.method === 'PUT' ? '' : (objects.get(name) ?? ''));
      }
    });
  });
  const keys = { account: 'account', accountKey: azureKey, sasToken: '' };
  return { provider: 'azure', bucket, prefix: '', endpoint, ...keys };
}

/** From what arrived, not from what was meant. */
function azureSignature({ method, headers }: IncomingMessage, { pathname, searchParams }: URL): string {
  const length = headers['content-length'] ?? '0';
  const own = Object.entries(headers).filter(([name]) => name.startsWith('x-ms-'));
  const lines = own.map(([name, value]) => `${name}:${String(value)}`).sort();
  const query = [...searchParams.keys()].sort().map((name) => `${name}:${searchParams.get(name)}`);
  const fixed = [method, '', '', length === '0' ? '' : length, '', headers['content-type'] ?? '', ...Array(6).fill('')];
  const text = [...fixed, ...lines, `/account${pathname}`, ...query].join('\n');
  return createHmac('sha256', Buffer.from(azureKey, 'base64')).update(text).digest('base64');
}

function listed(objects: Objects, prefix: string): [string, Buffer][] {
  return [...objects].filter(([name]) => name.startsWith(prefix)).sort(([a], [b]) => (a < b ? -1 : 1));
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function answer(response: ServerResponse, status: number, body: string | Buffer): void {
  response.writeHead(status).end(body);
}

function isToken(authorization: string | undefined, given: number): boolean {
  return Array.from({ length: given }, (_, index) => `Bearer t${index + 1}`).includes(authorization ?? '');
}
