// The description of the API is good OpenAPI 3.1 and says the same as the route table.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { openApiDocument } from '../../../actors/gateway/openapi.ts';
import { gatewayRoutes } from '../../../actors/gateway/route-table.ts';

test('the description is good OpenAPI 3.1', async () => {
  const validator = new Validator();
  const result = await validator.validate(JSON.parse(JSON.stringify(openApiDocument())));
  assert.deepEqual([result.valid, result.errors ?? []], [true, []]);
  assert.equal(validator.version, '3.1');
});

test('every route is described once, under a name of its own', () => {
  const { paths } = openApiDocument();
  const operations = Object.values(paths).flatMap((path) => Object.values(path));
  assert.equal(operations.length, gatewayRoutes.length);
  const ids = operations.map((operation) => (operation as { operationId: string }).operationId);
  assert.equal(new Set(ids).size, ids.length);
});
