// Cuts a byte stream of HTTP/1.1 messages with Content-Length into messages, as cheaply as a measurement needs: the load
// generator reads answers with it, the sink requests. No chunked bodies, no limits; it only ever talks to ourselves.

const headEnd = Buffer.from('\r\n\r\n');
const contentLength = /content-length: *(\d+)/i;

export interface HttpMessage {
  /** First line and headers. */
  head: string;
  /** A view that is dead after the callback. */
  body: Buffer;
}

export class HttpReader {
  #rest: Buffer = Buffer.alloc(0);
  readonly #receive: (message: HttpMessage) => void;

  constructor(receive: (message: HttpMessage) => void) {
    this.#receive = receive;
  }

  push(chunk: Buffer): void {
    const bytes = this.#rest.byteLength === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    for (;;) {
      const bodyAt = bytes.indexOf(headEnd, at) + headEnd.byteLength;
      if (bodyAt < headEnd.byteLength) break;
      const head = bytes.toString('latin1', at, bodyAt);
      const end = bodyAt + Number(contentLength.exec(head)?.[1] ?? 0);
      if (end > bytes.byteLength) break;
      this.#receive({ head, body: bytes.subarray(bodyAt, end) });
      at = end;
    }
    this.#rest = at === bytes.byteLength ? Buffer.alloc(0) : Buffer.from(bytes.subarray(at));
  }
}
