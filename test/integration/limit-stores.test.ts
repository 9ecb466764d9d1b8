// Limits that processes share through a real store: sums come together, by the store's clock, and a store that goes away
// takes nothing with it but the sharing.

import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { LimitSharing, type LimitStore } from '../../actors/services/limit-sharing.ts';
import { postgresLimitStore, redisLimitStore } from '../../actors/services/limit-stores.ts';
import { RateLimiter } from '../../actors/services/rate-limiter.ts';
import { ServiceHealth } from '../../actors/services/service-health.ts';
import { createMetrics } from '../../runtime/metrics.ts';
import { realSeams } from '../../runtime/seams.ts';
import { silentLog, testDatabase } from '../support/database.ts';
import { startRedis } from '../support/redis-server.ts';
import { makeSource } from '../support/workspace-objects.ts';

const log = { ...silentLog, debug: () => undefined };
const hour = 3_600_000;
const noRedis = 'redis-server is not installed on this machine';

/** Within what can have been paid off since the test began. */
function owes(owed: number | undefined, expectedMs: number): void {
  assert.ok(owed !== undefined && owed <= expectedMs + 1 && owed > expectedMs - 60_000, `owed ${owed}`);
}

async function sumsUp(first: LimitStore, second: LimitStore): Promise<void> {
  const [a, b] = await first.charge(['b', 'a'], [hour, 2 * hour]);
  owes(a, hour);
  owes(b, 2 * hour);
  const again = await second.charge(['a', 'c'], [hour, 0.5]);
  owes(again[0], 3 * hour);
  assert.ok((again[1] ?? -1) <= 0.5);
  const [small = 0] = await second.charge(['d'], [hour + 0.25]);
  owes(small, hour);
  const charges = Array.from({ length: 20 }, (_, index) =>
    (index % 2 === 0 ? first : second).charge(['x', 'y'], [hour, 1]),
  );
  await Promise.all(charges);
  owes((await first.charge(['x'], [0.001]))[0], 20 * hour);
}

test('Postgres sums up what two processes let pass', async (t) => {
  const database = await testDatabase(t);
  await sumsUp(postgresLimitStore(database.open()), postgresLimitStore(database.open()));
});

test('Redis sums up what two processes let pass', async (t) => {
  const redis = await startRedis(t);
  if (redis === undefined) return t.skip(noRedis);
  const [first, second] = [await redisLimitStore(redis.url, 5_000), await redisLimitStore(redis.url, 5_000)];
  t.after(() => Promise.all([first.close(), second.close()]).then(() => undefined));
  await sumsUp(first, second);
});

function processWith(t: TestContext, open: () => Promise<LimitStore>) {
  const { clock } = realSeams();
  const events = new EventEmitter();
  const health = new ServiceHealth('rate-limits', {
    clock,
    log: { ...log, warn: () => events.emit('degraded') },
    metrics: createMetrics(),
  });
  const sharing = new LimitSharing({
    open,
    health,
    clock,
    pauseMs: 1,
    onOwed: (key, owedMs) => {
      limiter.adopt(key, owedMs);
      events.emit('owed');
    },
  });
  const limiter = new RateLimiter({
    defaultSourceLimit: { events: 10, windowMs: hour },
    defaultWorkspaceLimit: undefined,
    clock,
    metrics: createMetrics(),
    share: sharing.share,
  });
  t.after(() => sharing.close());
  return { limiter, health, events };
}

test('what one process let pass, another refuses', async (t) => {
  const database = await testDatabase(t);
  const open = (): Promise<LimitStore> => Promise.resolve(postgresLimitStore(database.open()));
  const [one, other] = [processWith(t, open), processWith(t, open)];
  const source = makeSource('s1', []);
  const shared = once(one.events, 'owed');
  for (let event = 0; event < 9; event += 1) assert.equal(one.limiter.take(source, 1), undefined);
  await shared;
  const heard = once(other.events, 'owed');
  assert.equal(other.limiter.take(source, 1), undefined);
  await heard;
  // Nine may have been told in two exchanges; the one that came with this answer is certain.
  while (other.limiter.take(source, 1) === undefined) await once(other.events, 'owed');
  assert.notEqual(other.limiter.take(source, 1), undefined);
  assert.equal(other.health.status().state, 'working');
});

test('without its store a process limits by itself and says so', async (t) => {
  const redis = await startRedis(t);
  if (redis === undefined) return t.skip(noRedis);
  const { limiter, health, events } = processWith(t, () => redisLimitStore(redis.url, 2_000));
  const source = makeSource('s1', []);
  const shared = once(events, 'owed');
  limiter.take(source, 1);
  await shared;
  await redis.kill();
  const degraded = once(events, 'degraded');
  assert.equal(limiter.take(source, 1), undefined);
  await degraded;
  assert.match(health.status().lastError?.text ?? '', /limits are not shared: Redis cannot be used/);
  assert.equal(limiter.take(source, 8), undefined);
  assert.notEqual(limiter.take(source, 1), undefined);
});
