// Writes a small address database in MaxMind's open format: one IPv4 network and what is known about it.

type Value = string | number | Value[] | { [key: string]: Value };

const separatorBytes = 16;
const types = { string: 2, double: 3, uint16: 5, uint32: 6, map: 7, array: 11 };

/** `network` as `81.2.69.0/24`. */
export function addressDatabase(network: string, record: Record<string, Value>): Buffer {
  const [address = '', length = '32'] = network.split('/');
  const bits = address
    .split('.')
    .map((part) => Number(part).toString(2).padStart(8, '0'))
    .join('')
    .slice(0, Number(length));
  const nodes = bits.length;
  const tree = Buffer.alloc(nodes * 6);
  for (const [index, bit] of [...bits].entries()) {
    const next = index + 1 < nodes ? index + 1 : nodes + separatorBytes;
    tree.writeUIntBE(bit === '0' ? next : nodes, index * 6, 3);
    tree.writeUIntBE(bit === '1' ? next : nodes, index * 6 + 3, 3);
  }
  const metadata = encode({
    node_count: nodes,
    record_size: 24,
    ip_version: 4,
    database_type: 'GeoLite2-City',
    languages: ['en'],
    binary_format_major_version: 2,
    binary_format_minor_version: 0,
    build_epoch: 1_700_000_000,
    description: { en: 'made by a test' },
  });
  const marker = Buffer.concat([Buffer.from([0xab, 0xcd, 0xef]), Buffer.from('MaxMind.com')]);
  return Buffer.concat([tree, Buffer.alloc(separatorBytes), encode(record), marker, metadata]);
}

function encode(value: Value): Buffer {
  if (typeof value === 'string')
    return Buffer.concat([head(types.string, Buffer.byteLength(value)), Buffer.from(value)]);
  if (typeof value === 'number') return encodeNumber(value);
  if (Array.isArray(value)) return Buffer.concat([head(types.array, value.length), ...value.map(encode)]);
  const entries = Object.entries(value);
  return Buffer.concat([
    head(types.map, entries.length),
    ...entries.flatMap(([key, one]) => [encode(key), encode(one)]),
  ]);
}

function encodeNumber(value: number): Buffer {
  const bytes = Buffer.alloc(Number.isInteger(value) && value >= 0 ? 4 : 8);
  if (bytes.byteLength === 4) bytes.writeUInt32BE(value);
  else bytes.writeDoubleBE(value);
  return Buffer.concat([head(bytes.byteLength === 4 ? types.uint32 : types.double, bytes.byteLength), bytes]);
}

function head(type: number, size: number): Buffer {
  if (size >= 29 + 256) throw new RangeError('expected less than 285 bytes');
  const first = ((type < 8 ? type : 0) << 5) | Math.min(size, 29);
  return Buffer.from([first, ...(type < 8 ? [] : [type - 7]), ...(size < 29 ? [] : [size - 29])]);
}
