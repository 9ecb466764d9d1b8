// Small binary COPY tuples written by the storage actor itself: statuses, ledger rows, message ids seen. Job rows come encoded from
// their senders (job-row.ts).

/** 2000-01-01T00:00:00Z in epoch milliseconds: PostgreSQL's timestamp zero. */
const postgresEpochMs = 946_684_800_000;
const twoTo32 = 4_294_967_296;

export type TupleField =
  | { type: 'text'; value: string }
  | { type: 'int8'; value: number }
  | { type: 'int4'; value: number }
  | { type: 'bytea'; value: Uint8Array }
  /** Epoch milliseconds; 0 is written as NULL. */
  | { type: 'timestamptz'; value: number };

export const field = {
  text: (value: string): TupleField => ({ type: 'text', value }),
  int8: (value: number): TupleField => ({ type: 'int8', value }),
  int4: (value: number): TupleField => ({ type: 'int4', value }),
  bytea: (value: Uint8Array): TupleField => ({ type: 'bytea', value }),
  timestamptz: (value: number): TupleField => ({ type: 'timestamptz', value }),
};

/** One binary COPY tuple. Not for the hot path of payloads: a group holds a handful of these. */
export function encodeTuple(fields: readonly TupleField[]): Buffer {
  const pieces: Buffer[] = [int16(fields.length)];
  for (const one of fields) pieces.push(...encodeField(one));
  return Buffer.concat(pieces);
}

function encodeField(one: TupleField): Buffer[] {
  switch (one.type) {
    case 'text': {
      // Postgres text cannot hold U+0000; a destination's answer may.
      const bytes = Buffer.from(one.value.replaceAll('\u0000', ''), 'utf8');
      return [int32(bytes.byteLength), bytes];
    }
    case 'int8':
      return [int32(8), int64(one.value)];
    case 'int4':
      return [int32(4), int32(one.value)];
    case 'bytea':
      return [int32(one.value.byteLength), Buffer.from(one.value.buffer, one.value.byteOffset, one.value.byteLength)];
    case 'timestamptz':
      return one.value === 0 ? [int32(-1)] : [int32(8), int64((one.value - postgresEpochMs) * 1000)];
  }
}

function int16(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function int64(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeInt32BE(Math.floor(value / twoTo32), 0);
  bytes.writeUInt32BE(value >>> 0, 4);
  return bytes;
}
