// The README's tables are the ones that the settings and the destinations give.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { configTable, withTable, withTables } from '../../actors/config-docs.ts';
import { repositoryRoot } from '../support/repository.ts';

test('the tables in README.md are fresh', () => {
  const readme = readFileSync(join(repositoryRoot(), 'README.md'), 'utf8');
  assert.equal(readme, withTables(readme), 'renew them with: node dist/actors/main.js config-docs --write');
});

test('renews the table between the markers and nothing else', () => {
  const markers = { begin: '<!-- begin -->', end: '<!-- end -->' };
  const readme = 'before\n<!-- begin -->\nold\n<!-- end -->\nafter\n';
  assert.equal(withTable(readme, markers, 'NEW'), 'before\n<!-- begin -->\nNEW\n<!-- end -->\nafter\n');
  for (const bad of ['', '<!-- begin -->', '<!-- end --><!-- begin -->', readme + readme]) {
    assert.equal(withTable(bad, markers, 'NEW'), undefined);
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
