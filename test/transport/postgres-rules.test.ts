// Decisions about PostgreSQL that need no server: error classes, settings by machine size, who can enter a folder,
// and the form of binary arrays.

import { strict as assert } from 'node:assert';
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type ArrayElementType,
  copyBlocks,
  encodeBinaryArray,
  encodeColumns,
  stripCopyFrame,
} from '../../transport/postgres-binary.ts';
import { categoryOf, toPostgresError } from '../../transport/postgres-error.ts';
import { settingsFor, settingsText } from '../../transport/postgres-settings.ts';
import { canEnter } from '../../transport/postgres-user.ts';
import { temporaryFolder } from '../support/database.ts';

const gibibyte = 1024 ** 3;

test('sorts SQLSTATEs into what the caller does about them', () => {
  const expected = {
    '08006': 'connection',
    '57P01': 'connection',
    '25006': 'connection',
    '40P01': 'deadlock',
    '40001': 'serialization',
    '23505': 'constraint',
    '22P02': 'data',
    '54000': 'data',
    '57014': 'timeout',
    '55P03': 'timeout',
    SL001: 'fenced',
    '53100': 'resource',
    '53200': 'resource',
    '53300': 'resource',
    '58030': 'resource',
    '42601': 'other',
    XX000: 'other',
  };
  for (const [state, category] of Object.entries(expected)) assert.equal(categoryOf(state), category, state);
});

test('takes a system error and a lost socket for a lost connection, and nothing else', () => {
  const refused = Object.assign(new Error('connect ENOENT'), { code: 'ENOENT', syscall: 'connect' });
  assert.equal(toPostgresError(refused, false).category, 'connection');
  assert.equal(toPostgresError(new Error('Connection terminated'), true).category, 'connection');
  assert.equal(toPostgresError(new TypeError('bug'), false).category, 'other');
  assert.equal(toPostgresError('thrown text', false).category, 'other');
});

test('gives Postgres a quarter of the memory, within bounds', () => {
  const buffersAt = (memoryBytes: number) => settingsFor({ memoryBytes, diskBytes: 1000 * gibibyte }).shared_buffers;
  assert.deepEqual(
    [0.1, 1, 4, 64].map((size) => buffersAt(size * gibibyte)),
    ['64MB', '256MB', '1024MB', '2048MB'],
  );
  const walAt = (diskBytes: number) => settingsFor({ memoryBytes: gibibyte, diskBytes }).max_wal_size;
  assert.deepEqual(
    [1, 10, 1000].map((size) => walAt(size * gibibyte)),
    ['256MB', '1024MB', '4096MB'],
  );
  assert.match(settingsText({}, "/tmp/o'clock", 5432), /unix_socket_directories = '\/tmp\/o''clock'/);
});

test('finds the folder on the way that a user may not enter', () => {
  const open = temporaryFolder(0o755);
  const inner = join(open, 'private', 'inner');
  mkdirSync(inner, { recursive: true });
  const stranger = { name: 'stranger', uid: 60_001, gid: 60_001 };
  assert.equal(canEnter(stranger, inner), true);
  chmodSync(join(open, 'private'), 0o700);
  assert.equal(canEnter(stranger, inner), false);
  assert.equal(canEnter(undefined, inner), true);
  assert.equal(canEnter(stranger, join(open, 'missing')), false);
});

const fieldArbitrary = fc.option(fc.uint8Array({ maxLength: 40 }), { nil: null, freq: 5 });
const types: readonly ArrayElementType[] = ['int8', 'text', 'bytea'];

function fieldBytes(field: Uint8Array | null): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(field === null ? -1 : field.byteLength);
  return Buffer.concat([length, field ?? Buffer.alloc(0)]);
}

test('turns tuples into the same arrays as their fields, column by column', () => {
  const tuples = fc.array(fc.array(fc.tuple(fieldArbitrary, fieldArbitrary, fieldArbitrary), { maxLength: 6 }), {
    maxLength: 4,
  });
  fc.assert(
    fc.property(tuples, (pieces) => {
      const encoded = pieces.map((piece) =>
        Buffer.concat(piece.flatMap((tuple) => [Buffer.from([0, 3]), ...tuple.map(fieldBytes)])),
      );
      const all = pieces.flat();
      const expected = types.map((type, column) =>
        encodeBinaryArray(
          type,
          all.map((tuple) => fieldBytes(tuple[column] ?? null)),
          all.length,
        ),
      );
      assert.deepEqual(encodeColumns(encoded, types), expected);
    }),
  );
});

test('sends for COPY exactly the tuples in their frame, in pieces that are never many and small', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 30_000 }), { maxLength: 20 }), (chunks) => {
      const blocks = copyBlocks(chunks);
      assert.deepEqual(stripCopyFrame(Buffer.concat(blocks)), Buffer.concat(chunks));
      for (const block of blocks.slice(0, -1)) assert.ok(block.byteLength >= 64 * 1024);
    }),
    { numRuns: 30 },
  );
});
