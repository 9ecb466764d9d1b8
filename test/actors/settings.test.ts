// Rules between the product's settings that a number's bounds cannot say.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settingsSchema } from '../../actors/config.ts';
import { formatConfigFaults, loadConfig } from '../../runtime/index.ts';

function faultText(environment: Record<string, string>): string {
  const result = loadConfig(settingsSchema, { environment, flags: [] });
  return result.ok ? '' : formatConfigFaults(result.faults);
}

test('a PostgreSQL URL of another kind is a fault, and is not repeated', () => {
  for (const url of [
    'mysql://app:hunter2@db/events',
    'hunter2',
    'postgres://',
    'postgres://app:hunter2@db:port/events',
  ]) {
    const text = faultText({ SLUICE_POSTGRES_URL: url });
    assert.match(text, /expected a URL like postgres:\/\/user:password@host:5432\/database/, url);
    assert.doesNotMatch(text, /hunter2/);
  }
});

test('every usual spelling of a PostgreSQL URL is taken', () => {
  const urls = ['', 'postgres://db/events', 'postgresql://app:p%40ss@[::1]:5433/events?sslmode=require'];
  for (const url of [...urls, 'postgres://app@localhost'])
    assert.equal(faultText({ SLUICE_POSTGRES_URL: url }), '', url);
});

test('ports of one machine must differ', () => {
  assert.match(faultText({ SLUICE_ADMIN_PORT: '8080' }), /two different ports/);
  assert.equal(faultText({ SLUICE_ADMIN_PORT: '0' }), '');
});

test('a split that cannot be meant is a fault that says what one looks like', () => {
  for (const key of ['PROCESSOR', 'ROUTER']) {
    assert.match(faultText({ [`SLUICE_${key}_SHARDS`]: 'source-1' }), /source-1=4,source-2=2/);
    assert.equal(faultText({ [`SLUICE_${key}_SHARDS`]: 'source-1=4, *=2' }), '');
  }
});
