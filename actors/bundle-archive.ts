// Files as one tar (ustar), compressed: a header of 512 bytes and the contents padded to the same, for each.

import { gzipSync } from 'node:zlib';

export interface BundledFile {
  /** At most 100 bytes of ASCII. */
  name: string;
  text: string;
}

const blockBytes = 512;
const readableByOwner = '0000600';
const plainFile = '0';

export function tarGzip(files: readonly BundledFile[], atMs: number): Buffer {
  const blocks = files.flatMap(({ name, text }) => {
    const contents = Buffer.from(text);
    const padding = Buffer.alloc((blockBytes - (contents.byteLength % blockBytes)) % blockBytes);
    return [headerOf(name, contents.byteLength, atMs), contents, padding];
  });
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(blockBytes * 2)]));
}

function headerOf(name: string, bytes: number, atMs: number): Buffer {
  const header = Buffer.alloc(blockBytes);
  const octal = (value: number): string => value.toString(8).padStart(11, '0');
  header.write(name, 0, 100, 'ascii');
  header.write(readableByOwner, 100);
  header.write('0000000', 108);
  header.write('0000000', 116);
  header.write(octal(bytes), 124);
  header.write(octal(Math.floor(atMs / 1_000)), 136);
  // The sum is made with spaces in its own place.
  header.write(' '.repeat(8), 148);
  header.write(plainFile, 156);
  header.write('ustar\u000000', 257);
  const sum = header.reduce((all, byte) => all + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}
