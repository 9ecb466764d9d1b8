// Text of a binary IP address (4 or 16 bytes), because uWebSockets.js writes IPv6 addresses uncompressed.

const mappedPrefixBytes = 12;

/** IPv4-mapped IPv6 addresses come as IPv4, others in the short form of RFC 5952; '' for anything else. */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.byteLength === 4) return dotted(bytes, 0);
  if (bytes.byteLength !== 16) return '';
  if (isMapped(bytes)) return dotted(bytes, mappedPrefixBytes);
  const groups: string[] = [];
  for (let at = 0; at < 16; at += 2) groups.push((((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)).toString(16));
  // The URL parser compresses the longest run of zero groups.
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

function isMapped(bytes: Uint8Array): boolean {
  for (let at = 0; at < 10; at += 1) if (bytes[at] !== 0) return false;
  return bytes[10] === 0xff && bytes[11] === 0xff;
}

/** Written out, because `join` on a typed array costs more than the rest of a request's book-keeping. */
function dotted(bytes: Uint8Array, at: number): string {
  return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
}
