// Deliveries with tokens: against a real OAuth 2 server, and against a control plane that keeps the account.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { OAuth2Server } from 'oauth2-mock-server';
import { createHttpDelivery, type DeliveryOutcome } from '../../actors/router/delivery.ts';
import { OauthAccounts, OauthDelivery } from '../../actors/router/oauth/oauth-delivery.ts';
import type { DestinationConfig } from '../../actors/services/workspace.ts';
import { HttpClient } from '../../transport/index.ts';
import { type FakeDestination, startDestination } from '../support/fake-destination.ts';
import { makeDestination } from '../support/workspace-objects.ts';

const timeoutMs = 10_000;

function setup(t: TestContext, controlPlane = { url: '', token: '' }) {
  const http = new HttpClient();
  t.after(() => http.close());
  const nowMs = (): number => Date.now();
  const accounts = new OauthAccounts({ http, controlPlaneHttp: http, controlPlane, timeoutMs, nowMs });
  const delivery = new OauthDelivery({ inner: createHttpDelivery(http, { timeoutMs, nowMs }), accounts });
  return (destination: DestinationConfig, endpoint: string): Promise<DeliveryOutcome> =>
    new Promise((resolve) =>
      delivery.send(
        {
          poolKey: destination.id,
          destination,
          request: { method: 'POST', endpoint, headers: {}, params: {}, format: 'JSON' },
          body: Buffer.from('{}'),
          jobs: 1,
          keepsAnswer: false,
          idempotencyKey: 'key',
          traceparent: undefined,
          signingKeys: [],
        },
        resolve,
      ),
    );
}

interface Grant {
  type: string;
  clientId: string;
  refreshToken: string;
}

/** A real server, what it was asked, and a way to make it refuse. */
async function startOauth(t: TestContext) {
  const server = new OAuth2Server();
  await server.issuer.keys.generate('RS256');
  await server.start(0, '127.0.0.1');
  t.after(() => server.stop());
  const grants: Grant[] = [];
  const refusal = { error: '' };
  // Otherwise two tokens of one second are the same.
  server.service.on('beforeTokenSigning', (token) => {
    token.payload.jti = randomUUID();
  });
  server.service.on('beforeResponse', (response, request) => {
    const body = request.body as Record<string, string>;
    const basic = Buffer.from(String(request.headers.authorization ?? '').replace('Basic ', ''), 'base64').toString();
    grants.push({
      type: body.grant_type ?? '',
      clientId: body.client_id ?? basic.split(':')[0] ?? '',
      refreshToken: body.refresh_token ?? '',
    });
    if (refusal.error === '') return;
    response.statusCode = 400;
    response.body = { error: refusal.error, error_description: 'no more' };
  });
  const { port } = server.address();
  return { tokenUrl: `http://127.0.0.1:${port}/token`, grants, refusal };
}

function bearerOf(receiver: FakeDestination, index: number): string {
  return String(receiver.deliveries.at(index)?.headers.authorization);
}

test('a destination gets tokens of its own OAuth server, asked for once and renewed when it refuses one', async (t) => {
  const receiver = await startDestination(t);
  const { tokenUrl, grants } = await startOauth(t);
  const send = setup(t);
  const oauth = { tokenUrl, clientId: 'me', clientSecret: 'secret', refreshToken: 'refresh-1', scope: 'events' };
  const destination = makeDestination('d1', { config: { oauth } });
  const outcomes = await Promise.all([1, 2, 3].map(() => send(destination, receiver.url())));
  assert.deepEqual(
    outcomes.map(({ code }) => code),
    [200, 200, 200],
  );
  assert.equal(grants.length, 1);
  assert.deepEqual([grants[0]?.type, grants[0]?.refreshToken], ['refresh_token', 'refresh-1']);
  assert.match(bearerOf(receiver, 0), /^Bearer eyJ/);
  receiver.respond(({ headers }) => (headers.authorization === bearerOf(receiver, 0) ? 401 : 200));
  const refused = await send(destination, receiver.url());
  assert.deepEqual([refused.code, refused.rule], [500, '401: the token was renewed']);
  assert.equal((await send(destination, receiver.url())).code, 200);
  assert.equal(grants.length, 2);
  assert.notEqual(bearerOf(receiver, -1), bearerOf(receiver, 0));
});

test('a grant that was taken back fails the events; a server in trouble does not', async (t) => {
  const receiver = await startDestination(t);
  const { tokenUrl, refusal, grants } = await startOauth(t);
  const send = setup(t);
  const account = (clientId: string) =>
    makeDestination(clientId, { config: { oauth: { tokenUrl, clientId, clientSecret: 's' } } });
  refusal.error = 'temporarily_unavailable';
  assert.equal((await send(account('a'), receiver.url())).code, 500);
  refusal.error = 'invalid_grant';
  const revoked = await send(account('b'), receiver.url());
  assert.equal(revoked.code, 400);
  assert.match(revoked.response, /^no token: invalid_grant/);
  assert.equal(receiver.deliveries.length, 0);
  refusal.error = '';
  assert.equal((await send(account('a'), receiver.url())).code, 200);
  assert.equal(grants.at(-1)?.type, 'client_credentials');
  const wrong = await send(makeDestination('c', { config: { oauth: { tokenUrl } } }), receiver.url());
  assert.deepEqual([wrong.code, wrong.response], [503, 'expected oauth.clientId']);
});

test('an account of the control plane is asked for with the secret that ended', async (t) => {
  const receiver = await startDestination(t);
  const controlPlane = await startDestination(t);
  const asked = (): unknown[] => controlPlane.deliveries.map(({ body }) => JSON.parse(body.toString()).expiredSecret);
  controlPlane.respond(() => ({
    status: 200,
    body: JSON.stringify({ secret: { access_token: `cp-${controlPlane.deliveries.length}` } }),
  }));
  const send = setup(t, { url: controlPlane.url(''), token: 'workspace-token' });
  const definition = { id: 'dd', name: 'X', displayName: 'X', config: { auth: { type: 'OAuth' } } };
  const destination = makeDestination('d1', {
    config: { rudderAccountId: 'acc 1' },
    destinationDefinition: definition,
  });
  assert.equal((await send(destination, receiver.url())).code, 200);
  assert.equal(bearerOf(receiver, 0), 'Bearer cp-1');
  receiver.respond(({ headers }) => (headers.authorization === 'Bearer cp-1' ? 401 : 200));
  assert.equal((await send(destination, receiver.url())).code, 500);
  assert.equal((await send(destination, receiver.url())).code, 200);
  assert.deepEqual(asked(), [null, { access_token: 'cp-1' }]);
  const [{ path, headers }] = controlPlane.deliveries as [(typeof controlPlane.deliveries)[0]];
  assert.equal(path, '/destination/workspaces/ws-1/accounts/acc%201/token');
  assert.equal(headers.authorization, `Basic ${Buffer.from('workspace-token:').toString('base64')}`);
});
