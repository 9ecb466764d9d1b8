// What is left out of a stored request comes back, whatever it was, and rows of earlier versions are read as they are.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { completeRequest, encodeRequest } from '../../actors/destinations/destination.ts';
import type { RequestDescriptor } from '../../actors/job.ts';

/** Often the usual value, so that every combination of what is left out comes up. */
const requests: fc.Arbitrary<RequestDescriptor> = fc.record({
  method: fc.oneof(fc.constant('POST'), fc.string()),
  endpoint: fc.string(),
  headers: fc.dictionary(fc.string(), fc.string(), { noNullPrototype: true }),
  params: fc.dictionary(fc.string(), fc.jsonValue(), { noNullPrototype: true }),
  format: fc.constantFrom('JSON', 'JSON_ARRAY', 'XML', 'FORM', 'GZIP', 'NONE'),
});

test('a request comes back from its row as it was written', () => {
  fc.assert(
    fc.property(requests, (request) => {
      const written = JSON.parse(JSON.stringify(request));
      assert.deepEqual(completeRequest(JSON.parse(encodeRequest(request))), written);
    }),
  );
});

test('a row that holds every field is read as it is', () => {
  fc.assert(
    fc.property(requests, (request) => {
      const written = JSON.parse(JSON.stringify(request));
      assert.deepEqual(completeRequest(written), written);
    }),
  );
});

test('of the usual request only the address is kept', () => {
  const usual = { method: 'POST', endpoint: 'http://h/', headers: {}, params: {}, format: 'JSON' } as const;
  assert.equal(encodeRequest(usual), '{"endpoint":"http://h/"}');
});
