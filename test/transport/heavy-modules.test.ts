// No thread pays for libraries it does not use: loading the layer loads neither the database driver nor the HTTP client.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { Worker } from 'node:worker_threads';

/** Packages that a fresh thread has loaded after running `code`. */
async function packagesAfter(t: TestContext, code: string): Promise<string[]> {
  const transport = new URL('../../transport/index.js', import.meta.url).href;
  const runtime = new URL('../../runtime/index.js', import.meta.url).href;
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads');
     const load = async () => {
       const transport = await import(${JSON.stringify(transport)});
       await import(${JSON.stringify(runtime)});
       ${code}
       const names = Object.keys(require.cache).map((path) => path.split('node_modules/').at(-1).split('/')[0]);
       parentPort.postMessage([...new Set(names)]);
     };
     load();`,
    { eval: true },
  );
  t.after(async () => void (await worker.terminate()));
  const [packages] = await once(worker, 'message');
  return packages as string[];
}

test('transport and runtime load neither pg-promise nor undici nor telemetry', async (t) => {
  const packages = await packagesAfter(t, '');
  for (const heavy of ['pg-promise', 'pg', 'pg-copy-streams', 'undici', '@opentelemetry']) {
    assert.ok(!packages.includes(heavy), `expected ${heavy} not to be loaded, got ${packages.join(', ')}`);
  }
});

test('a thread that delivers loads undici only, one that stores pg-promise only', async (t) => {
  // Port 1 is nobody's, and the client is closed without waiting for that to be found out.
  const request = `{ poolKey: 'd', origin: 'http://127.0.0.1:1', path: '/', method: 'GET', headers: [], body: null, timeoutMs: 1000 }`;
  const send = `const http = new transport.HttpClient(); http.send(${request}, () => undefined); await http.close();`;
  const delivers = await packagesAfter(t, send);
  assert.deepEqual([delivers.includes('undici'), delivers.includes('pg-promise')], [true, false]);
  const address = `{ socketDir: '/nowhere', port: 1, user: 'u', database: 'd' }`;
  const stores = await packagesAfter(t, `transport.openPostgres({ address: ${address}, applicationName: 'a' });`);
  assert.deepEqual([stores.includes('undici'), stores.includes('pg-promise')], [false, true]);
});
