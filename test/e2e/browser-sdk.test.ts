// The browser SDK as a real page uses it: in Chromium, from another origin, with its configuration from our
// /sourceConfig. The page goes through two ways the SDK can send (a request per event, batches) and reports to the server
// it came from; the events must be at the destination. Beacons while a page is left are not among them: whether the SDK has
// them in its queue by then depends on how fast the page is left.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { findChromium, openPage } from '../support/browser.ts';
import { lastFirst } from '../support/cleanup.ts';
import { startPipeline, writeKey } from '../support/pipeline.ts';
import { parsePrometheusText, sampleValue } from '../support/prometheus-text.ts';

const sdkPath = fileURLToPath(import.meta.resolve('@rudderstack/analytics-js/bundled'));
const eventsPerPage = 20;
const modes = ['single', 'batch'] as const;

/** Runs in the browser. */
function pageText(gatewayUrl: string): string {
  return `<!doctype html><title>Shop</title><script type="module">
    const mode = location.hash.slice(1);
    const report = (what) => navigator.sendBeacon('/report', mode + ': ' + what);
    addEventListener('error', (event) => report('error ' + event.message));
    addEventListener('unhandledrejection', (event) => report('rejection ' + event.reason));
    if (mode !== '') {
      const { RudderAnalytics } = await import('/sdk.mjs');
      const options = {
        single: {},
        batch: { queueOptions: { batch: { enabled: true, maxItems: ${eventsPerPage + 2}, flushInterval: 60000 } } },
      }[mode];
      const sdk = new RudderAnalytics();
      sdk.load(${JSON.stringify(writeKey)}, ${JSON.stringify(gatewayUrl)}, {
        configUrl: ${JSON.stringify(gatewayUrl)}, polyfillIfRequired: false, ...options,
      });
      sdk.ready(() => report('ready'));
      sdk.page('Home', { mode });
      sdk.identify('user-' + mode, { plan: 'free' });
      for (let sequence = 0; sequence < ${eventsPerPage}; sequence += 1) sdk.track('Seen', { sequence });
      const next = await (await fetch('/next?after=' + mode)).text();
      location.assign('/page?' + next + '#' + next);
    }
  </script>`;
}

/** The shop whose pages the browser opens: another origin than the gateway's. */
async function startShop(t: TestContext, gatewayUrl: string) {
  const reports: string[] = [];
  /** Pages that wait to be told where to go. */
  const release = new Map<string, PromiseWithResolvers>();
  for (const mode of modes) release.set(mode, withResolvers());
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://shop');
    if (pathname === '/sdk.mjs') {
      response.setHeader('content-type', 'text/javascript').end(readFileSync(sdkPath));
    } else if (pathname === '/next') {
      void release.get(searchParams.get('after') ?? '')?.promise.then((next) => response.end(next));
    } else if (pathname === '/report') {
      request.setEncoding('utf8').on('data', (text: string) => reports.push(text));
      request.on('end', () => response.end());
    } else {
      response.setHeader('content-type', 'text/html').end(pageText(gatewayUrl));
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  lastFirst(t).after(() => {
    server.close();
    server.closeAllConnections();
  });
  const url = (mode: string) => `http://localhost:${(server.address() as AddressInfo).port}/page?${mode}#${mode}`;
  /** Lets the page leave for another one; '' is one that does nothing. */
  const leave = (mode: string, next: string) => release.get(mode)?.resolve(next);
  return { reports, url, leave };
}

interface PromiseWithResolvers {
  promise: Promise<string>;
  resolve: (next: string) => void;
}

function withResolvers(): PromiseWithResolvers {
  let resolve: (next: string) => void = () => {};
  const promise = new Promise<string>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

const chromium = findChromium();

test('delivers what the browser SDK sends from a page of another origin, in requests and batches', {
  timeout: 120_000,
  skip: chromium === undefined && 'no Chromium on this machine: the browser SDK was not tried',
}, async (t) => {
  assert.ok(chromium !== undefined);
  const { program, destination } = await startPipeline(t);
  const shop = await startShop(t, program.gatewayUrl);
  const browser = await openPage(t, chromium, shop.url('single'));
  const told = () => `${shop.reports.join('\n')}\n${browser.output}\n${program.lastOutput()}`;
  const perPage = eventsPerPage + 2;
  for (const [index, mode] of modes.entries()) {
    await destination.waitForAccepted((index + 1) * perPage).catch((cause: unknown) => {
      throw new Error(`mode ${mode}: ${told()}`, { cause });
    });
    shop.leave(mode, modes[index + 1] ?? '');
  }
  const events = destination.accepted().map(({ body }) => JSON.parse(body.toString('utf8')));
  assert.equal(events.length, modes.length * perPage, 'every event is sent to the destination exactly once');
  assert.equal(new Set(events.map(({ messageId }) => messageId)).size, events.length);
  assert.equal(new Set(events.map(({ anonymousId }) => anonymousId)).size, 1, 'one visitor in all pages');
  for (const [index, mode] of modes.entries()) {
    const own = events.slice(index * perPage, (index + 1) * perPage);
    assert.equal(own.find(({ type }) => type === 'page')?.name, 'Home');
    assert.equal(own.find(({ type }) => type === 'identify')?.userId, `user-${mode}`);
    for (const event of own) assert.equal(event.channel, 'web');
    const sequences = own.filter(({ type }) => type === 'track').map(({ properties }) => properties.sequence);
    // Requests of single events race each other in the browser: only there nobody can say what their order is.
    if (mode === 'single') sequences.sort((a, b) => a - b);
    else
      assert.deepEqual(
        own.slice(0, 2).map(({ type }) => type),
        ['page', 'identify'],
      );
    assert.deepEqual(sequences, [...Array(eventsPerPage).keys()], mode);
  }
  const metrics = parsePrometheusText(await (await fetch(`${program.adminUrl}/metrics`)).text());
  for (const [route, requests] of [
    ['page', 1],
    ['identify', 1],
    ['track', eventsPerPage],
    ['batch', 1],
    ['source-config', modes.length],
  ] as const) {
    const labels = { route, status: '200' };
    assert.equal(sampleValue(metrics, 'sluice_gateway_requests_total', labels), requests, `requests of ${route}`);
  }
  const faults = shop.reports.filter((report) => !report.endsWith(': ready'));
  assert.deepEqual(faults, []);
});
