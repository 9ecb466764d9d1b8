// The README's table of settings is the one the settings give.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { configTable, withConfigTable } from '../../actors/config-docs.ts';
import { repositoryRoot } from '../support/repository.ts';

test('the table of settings in README.md is fresh', () => {
  const readme = readFileSync(join(repositoryRoot(), 'README.md'), 'utf8');
  assert.equal(readme, withConfigTable(readme), 'renew it with: node dist/actors/main.js config-docs --write');
});

test('renews the table between the markers and nothing else', () => {
  const readme = 'before\n<!-- config:begin -->\nold\n<!-- config:end -->\nafter\n';
  assert.equal(withConfigTable(readme, 'NEW'), 'before\n<!-- config:begin -->\nNEW\n<!-- config:end -->\nafter\n');
  for (const bad of ['', '<!-- config:begin -->', '<!-- config:end --><!-- config:begin -->', readme + readme]) {
    assert.equal(withConfigTable(bad, 'NEW'), undefined);
  }
});

test('keeps text with bars and line ends in its cell', () => {
  const row = {
    path: 'a.b',
    environment: 'SLUICE_A_B',
    flag: '--a.b',
    type: 'text',
    expected: 'a text',
    default: '',
    secret: false,
    doc: 'x | y\nz',
  } as const;
  assert.equal(configTable([row]).split('\n')[2], '| `a.b` | `SLUICE_A_B` | (empty) | text | x \\| y z |');
});
