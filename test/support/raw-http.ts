// A client for tests that must control every byte on the wire and see every byte that comes back: pipelining, bodies
// cut short, answers that arrive early. Waits end with data or with the end of the connection, never with the clock.

import { type AddressInfo, connect, type Socket } from 'node:net';

export interface RawResponse {
  status: number;
  /** Names in lower case. */
  headers: Record<string, string>;
  body: string;
}

export class RawClient {
  readonly #socket: Socket;
  #received = Buffer.alloc(0);
  #ended = false;
  #wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake();
    });
    const end = () => {
      this.#ended = true;
      this.#wake();
    };
    socket.on('close', end);
    socket.on('error', end);
  }

  static async connect(port: number): Promise<RawClient> {
    const socket = connect(port, '127.0.0.1');
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new RawClient(socket);
  }

  get localPort(): number {
    return (this.#socket.address() as AddressInfo).port;
  }

  /** Resolves when the bytes left this process's memory, or when the connection is gone. */
  async send(bytes: string | Uint8Array): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.write(bytes, () => resolve()));
  }

  /** The next response, or undefined when the connection ended before a whole one came. `bodyless`: to a HEAD. */
  async response(options: { bodyless?: boolean } = {}): Promise<RawResponse | undefined> {
    for (;;) {
      const parsed = parseResponse(this.#received, options.bodyless === true);
      if (parsed !== undefined) {
        this.#received = this.#received.subarray(parsed.length);
        return parsed.response;
      }
      if (this.#ended) return undefined;
      await this.#somethingNew();
    }
  }

  /** Resolves when the server closed the connection. */
  async closed(): Promise<void> {
    while (!this.#ended) await this.#somethingNew();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #somethingNew(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

function parseResponse(bytes: Buffer, bodyless: boolean): { response: RawResponse; length: number } | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd < 0) return undefined;
  const [statusLine = '', ...lines] = bytes.toString('latin1', 0, headEnd).split('\r\n');
  const status = Number(statusLine.split(' ')[1]);
  const headers = Object.fromEntries(
    lines.map((line) => {
      const mark = line.indexOf(':');
      return [line.slice(0, mark).toLowerCase(), line.slice(mark + 1).trim()];
    }),
  ) as Record<string, string>;
  const bodyStart = headEnd + 4;
  const bodyBytes = bodyless || status < 200 || status === 204 ? 0 : Number(headers['content-length'] ?? 0);
  if (bytes.byteLength < bodyStart + bodyBytes) return undefined;
  const length = bodyStart + bodyBytes;
  return { response: { status, headers, body: bytes.toString('utf8', bodyStart, length) }, length };
}
