// Real answers against the description that the gateway serves of itself: status, content type and the shape of JSON.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { type RequestParts, setup, track } from '../support/gateway-fixture.ts';
import { httpEngines } from '../support/http-engines.ts';

const bearer = { Authorization: 'Bearer secret-token' };
const requests: [path: string, template: string, parts: RequestParts][] = [
  ['/v1/track', '/v1/track', { body: track }],
  ['/v1/track', '/v1/track', { body: '{' }],
  ['/v1/track', '/v1/track', { body: track, headers: { Authorization: '' } }],
  ['/v1/track', '/v1/track', { body: `{"userId":"${'x'.repeat(5_000)}"}` }],
  ['/v1/batch', '/v1/batch', { body: `{"batch":[${track},1]}`, headers: { 'X-Sluice-Verdicts': '1' } }],
  ['/v1/batch', '/v1/batch', { body: '{"batch":[{}]}', headers: { 'X-Sluice-Verdicts': '1' } }],
  ['/pixel/v1/page', '/pixel/v1/page', { method: 'GET' }],
  ['/v1/webhook?writeKey=key-hook', '/v1/webhook', { body: '{"a":1}' }],
  ['/internal/v1/batch', '/internal/v1/batch', { body: '[]', headers: bearer }],
  ['/internal/v2/job-status/r', '/internal/v2/job-status/{job_run_id}', { method: 'GET', headers: bearer }],
  ['/health', '/health', { method: 'GET' }],
  ['/version', '/version', { method: 'GET' }],
  ['/docs', '/docs', { method: 'GET' }],
  ['/sourceConfig', '/sourceConfig', { method: 'GET' }],
];

for (const engine of httpEngines) {
  describe(`the gateway on ${engine}`, () => {
    test('answers as it describes', async (t) => {
      const flags = { 'admin.token': 'secret-token', 'gateway.eventBytesMax': '1024' };
      const { send } = await setup(t, engine, { flags });
      const document = JSON.parse((await send('/docs/openapi.json', { method: 'GET' })).body);
      const ajv = new Ajv2020({ strict: false });
      ajv.addSchema(document, 'api');
      for (const [path, template, parts] of requests) {
        const { status, headers, body } = await send(path, parts);
        const method = (parts.method ?? 'POST').toLowerCase();
        const response = document.paths[template][method].responses[status];
        assert.ok(response !== undefined, `${path} answers ${status}, which is not described`);
        const type = headers['content-type']?.split(';')[0] ?? '';
        assert.ok(type in response.content, `${path} answers ${status} with ${type}`);
        if (type !== 'application/json') continue;
        const pointer = [template, method, 'responses', status, 'content', type, 'schema'].map((part) =>
          String(part).replaceAll('~', '~0').replaceAll('/', '~1'),
        );
        const isValid = ajv.compile({
          $ref: `api#/paths/${pointer.join('/').replaceAll(/[{}]/g, encodeURIComponent)}`,
        });
        assert.ok(isValid(JSON.parse(body)), `${path}: ${ajv.errorsText(isValid.errors)}`);
      }
    });
  });
}
