// The token of an account: asked for once whoever waits, renewed in time, and left alone where asking cannot help.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readTokenAnswer } from '../../actors/router/oauth/control-plane-tokens.ts';
import { oauthAccountOf } from '../../actors/router/oauth/oauth-settings.ts';
import { type Token, TokenAccount, type TokenAnswer } from '../../actors/router/oauth/token-account.ts';
import { makeDestination } from '../support/workspace-objects.ts';

const policy = {
  renewMs: 100,
  failuresMax: 3,
  failureRestMs: 5_000,
  renewalsMax: 3,
  renewalWindowMs: 1_000,
  renewalRestMs: 2_000,
};

function setup(answers: (asked: number) => TokenAnswer) {
  const clock = { nowMs: 0 };
  const expired: (Token | undefined)[] = [];
  const source = {
    fetch: (token: Token | undefined) => {
      expired.push(token);
      return Promise.resolve(answers(expired.length));
    },
  };
  return { account: new TokenAccount(source, () => clock.nowMs, policy), clock, expired };
}

const numbered = (asked: number, endsAtMs = 10_000): TokenAnswer => ({
  token: { accessToken: `t${asked}`, endsAtMs, secret: {} },
});

function nameOf(answer: TokenAnswer): string {
  return 'token' in answer ? answer.token.accessToken : answer.error;
}

test('many who wait ask once, and nobody waits while the token is good', async () => {
  const { account, clock, expired } = setup((asked) => numbered(asked));
  const answers = await Promise.all([account.current(), account.current(), account.current()]);
  assert.deepEqual(answers.map(nameOf), ['t1', 't1', 't1']);
  assert.equal(account.good?.accessToken, 't1');
  clock.nowMs = 9_900;
  assert.equal(account.good, undefined, 'it is renewed before it ends');
  assert.equal(nameOf(await account.current()), 't2');
  assert.equal(expired.length, 2);
  assert.equal(expired[1]?.accessToken, 't1', 'the old one is told');
});

test('a token that was refused is replaced once, also for those who come with it later', async () => {
  const { account, expired } = setup((asked) => numbered(asked));
  const first = await account.current();
  assert.ok('token' in first);
  assert.deepEqual((await Promise.all([account.replace(first.token), account.replace(first.token)])).map(nameOf), [
    't2',
    't2',
  ]);
  assert.equal(nameOf(await account.replace(first.token)), 't2');
  assert.equal(expired.length, 2);
});

test('a server that fails is left alone for a while, and its last error is the answer', async () => {
  const { account, clock, expired } = setup(() => ({ error: 'away', isFinal: false }));
  for (let time = 0; time < 5; time += 1) assert.equal(nameOf(await account.current()), 'away');
  assert.equal(expired.length, 3);
  clock.nowMs = 5_000;
  await account.current();
  assert.equal(expired.length, 4);
});

test('a destination that refuses good tokens is no storm of renewals', async () => {
  const { account, clock, expired } = setup((asked) => numbered(asked));
  let answer = await account.current();
  for (let time = 0; time < 10; time += 1) {
    assert.ok('token' in answer);
    answer = await account.replace(answer.token);
  }
  assert.equal(expired.length, 3);
  clock.nowMs = 2_000;
  assert.ok('token' in answer);
  assert.equal(nameOf(await account.replace(answer.token)), 't4');
});

test('answers of the control plane: a secret, an error anywhere, or nonsense', () => {
  const secret = { access_token: 'a', expirationDate: '2026-01-01T00:00:00.000Z', more: 1 };
  assert.deepEqual(readTokenAnswer(200, JSON.stringify({ secret }), 0), {
    token: { accessToken: 'a', endsAtMs: Date.UTC(2026, 0, 1), secret },
  });
  const revoked = { status: 403, body: { code: 'ref_token_invalid_grant', message: 'gone' } };
  assert.deepEqual(readTokenAnswer(403, JSON.stringify(revoked), 0), {
    error: 'ref_token_invalid_grant gone',
    isFinal: true,
  });
  assert.deepEqual(readTokenAnswer(500, '{"errorType":"INVALID_REFRESH_RESPONSE"}', 0), {
    error: 'INVALID_REFRESH_RESPONSE',
    isFinal: false,
  });
  for (const text of ['nonsense', '{}', '{"secret":null}', '{"secret":{"access_token":""}}']) {
    const answer = readTokenAnswer(200, text, 0);
    assert.ok('error' in answer && !answer.isFinal, text);
  }
});

test('who needs a token, and where it comes from', () => {
  const auth = (config: object, definition: Record<string, unknown> = {}) =>
    oauthAccountOf(
      makeDestination('d1', {
        config: { ...config },
        destinationDefinition: { id: 'dd', name: 'X', displayName: 'X', config: definition },
      }),
    );
  assert.equal(auth({}), undefined);
  assert.deepEqual(auth({ rudderAccountId: 'acc' }, { auth: { type: 'OAuth' } }), {
    kind: 'controlPlane',
    workspaceId: 'ws-1',
    accountId: 'acc',
  });
  assert.equal(auth({ rudderAccountId: 'acc' }, { auth: { type: 'OAuth', rudderScopes: ['delete'] } }), undefined);
  assert.equal(auth({}, { auth: { type: 'OAuth' } }), 'expected rudderAccountId');
  assert.equal(auth({ oauth: { tokenUrl: 'nowhere' } }), 'expected oauth.tokenUrl to be a URL');
  assert.equal(auth({ oauth: { tokenUrl: 'https://id/token' } }), 'expected oauth.clientId');
});
