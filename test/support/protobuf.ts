// Reads the protobuf wire format: enough to decode what an exporter sent us without using the exporter's own code, so
// that a test does not agree with a mistake it shares.

type FieldValue = bigint | Uint8Array;

/** The fields of one message by number; a getter of a missing field answers its proto3 default. */
export class ProtobufMessage {
  readonly #fields = new Map<number, FieldValue[]>();

  constructor(bytes: Uint8Array) {
    const reader = new WireReader(bytes);
    while (!reader.atEnd()) {
      const tag = reader.varint();
      const field = Number(tag >> 3n);
      const values = this.#fields.get(field) ?? [];
      values.push(reader.value(Number(tag & 7n)));
      this.#fields.set(field, values);
    }
  }

  messages(field: number): ProtobufMessage[] {
    return this.#all(field).map((value) => new ProtobufMessage(asBytes(value)));
  }

  message(field: number): ProtobufMessage | undefined {
    return this.messages(field).at(-1);
  }

  has(field: number): boolean {
    return this.#fields.has(field);
  }

  bytes(field: number): Uint8Array {
    return asBytes(this.#all(field).at(-1) ?? new Uint8Array(0));
  }

  string(field: number): string {
    return new TextDecoder('utf-8', { fatal: true }).decode(this.bytes(field));
  }

  hex(field: number): string {
    return Buffer.from(this.bytes(field)).toString('hex');
  }

  /** Varints and fixed widths alike, unsigned. */
  integer(field: number): bigint {
    const value = this.#all(field).at(-1) ?? 0n;
    if (typeof value !== 'bigint') throw new Error(`expected field ${field} to be a number, got bytes`);
    return value;
  }

  double(field: number): number {
    return bitsToDouble(this.integer(field));
  }

  /** A repeated fixed64, packed or not. */
  fixed64s(field: number): bigint[] {
    return this.#all(field).flatMap((value) => {
      if (typeof value === 'bigint') return [value];
      const reader = new WireReader(value);
      const values: bigint[] = [];
      while (!reader.atEnd()) values.push(reader.fixed(8));
      return values;
    });
  }

  doubles(field: number): number[] {
    return this.fixed64s(field).map(bitsToDouble);
  }

  #all(field: number): FieldValue[] {
    return this.#fields.get(field) ?? [];
  }
}

class WireReader {
  readonly #bytes: Uint8Array;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  atEnd(): boolean {
    return this.#position === this.#bytes.length;
  }

  value(wireType: number): FieldValue {
    if (wireType === 0) return this.varint();
    if (wireType === 1) return this.fixed(8);
    if (wireType === 2) return this.#take(Number(this.varint()));
    if (wireType === 5) return this.fixed(4);
    throw new Error(`expected wire type 0, 1, 2 or 5, got ${wireType}`);
  }

  varint(): bigint {
    let result = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const [byte = 0] = this.#take(1);
      result |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return result;
    }
    throw new Error('expected a varint of at most 10 bytes');
  }

  fixed(width: 4 | 8): bigint {
    return this.#take(width).reduceRight((result, byte) => (result << 8n) | BigInt(byte), 0n);
  }

  #take(length: number): Uint8Array {
    const end = this.#position + length;
    if (end > this.#bytes.length) throw new Error(`expected ${length} more bytes at ${this.#position}`);
    const taken = this.#bytes.subarray(this.#position, end);
    this.#position = end;
    return taken;
  }
}

function asBytes(value: FieldValue): Uint8Array {
  if (typeof value === 'bigint') throw new Error(`expected bytes, got the number ${value}`);
  return value;
}

function bitsToDouble(bits: bigint): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, bits);
  return view.getFloat64(0);
}
