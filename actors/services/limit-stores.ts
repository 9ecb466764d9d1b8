// The stores in which processes share limits: Postgres, which is there anyway, and Redis, which makes less of it. Both
// add up in one step per exchange, by their own clock, so that clocks of the processes need not agree.

import { openRedis, type Postgres } from '../../transport/index.ts';
import type { LimitStore } from './limit-sharing.ts';

export function postgresLimitStore(postgres: Postgres): LimitStore {
  return {
    async charge(keys, costsMs) {
      // In the order of the keys: two processes that charge the same ones must not wait for each other in a circle.
      const order = keys.map((_, index) => index).sort((a, b) => ((keys[a] ?? '') < (keys[b] ?? '') ? -1 : 1));
      const { rows } = await postgres.query<{ key: string; owed: number }>(chargeSql, [
        order.map((index) => keys[index]),
        order.map((index) => costsMs[index]),
      ]);
      const owed = new Map(rows.map((row) => [row.key, row.owed]));
      return keys.map((key) => owed.get(key) ?? 0);
    },
    close: () => Promise.resolve(),
  };
}

const chargeSql = `
  with clock as (select extract(epoch from clock_timestamp()) * 1000 as now_ms)
  insert into sluice_rate_limits as held (key, paid_off_at_ms)
  select charge.key, clock.now_ms + charge.cost
  from unnest($1::text[], $2::double precision[]) as charge (key, cost), clock
  on conflict (key) do update set paid_off_at_ms =
    greatest(held.paid_off_at_ms, extract(epoch from clock_timestamp()) * 1000)
    + excluded.paid_off_at_ms - (select now_ms from clock)
  returning key, paid_off_at_ms - extract(epoch from clock_timestamp()) * 1000 as owed`;

/** Every key with its cost; each is kept until it is paid off. */
const chargeScript = `
  local time = redis.call('TIME')
  local now = time[1] * 1000 + time[2] / 1000
  local owed = {}
  for index, key in ipairs(KEYS) do
    local left = math.max(0, tonumber(redis.call('GET', key) or '0') - now) + tonumber(ARGV[index])
    redis.call('SET', key, string.format('%.3f', now + left), 'PX', math.max(1, math.ceil(left)))
    owed[index] = string.format('%.3f', left)
  end
  return owed`;

const keyPrefix = 'sluice:limit:';

export async function redisLimitStore(url: string, timeoutMs: number): Promise<LimitStore> {
  const redis = await openRedis({ url, timeoutMs });
  return {
    async charge(keys, costsMs) {
      const answer = await redis.evaluate(
        chargeScript,
        keys.map((key) => keyPrefix + key),
        costsMs.map(String),
      );
      if (!Array.isArray(answer)) throw new Error('expected Redis to answer with a list');
      return answer.map(Number);
    },
    close: () => redis.close(),
  };
}
