/** Received datagrams. */

/**
 * A received datagram. It is lent to its handler: valid until the handler has
 * returned or, if it returned a promise, until that has settled.
 *
 * @example Keeping the data
 * ```ts
 * import type { Context, Datagram } from "@curfew/context";
 *
 * const kept: Uint8Array[] = [];
 * function keep(_ctx: Context, datagram: Datagram): void {
 *   kept.push(datagram.data.slice()); // the buffer itself is reused
 * }
 * console.log(keep.name); // for serveUdp(ctx, { port: 8125 }, keep)
 * ```
 */
export interface Datagram<Addr extends Deno.Addr = Deno.NetAddr> {
  /** Payload of the datagram. Copy it with `slice()` to keep it. */
  readonly data: Uint8Array<ArrayBuffer>;
  /** Address of the sender. The object may be kept. */
  readonly addr: Addr;
  /**
   * Sends `data` to the sender of the datagram.
   *
   * @param data At most 65,507 bytes, or 65,527 over IPv6; 9,216 on macOS unless
   * it is configured to send more.
   * @returns The number of bytes sent. Rejects with the `err` of the handler's
   * ctx once that is done, and with a RangeError if `data` is too long.
   */
  reply(data: Uint8Array): Promise<number>;
}

/** Sends a datagram from the socket that received another one. */
type Send = (data: Uint8Array, addr: Deno.Addr) => Promise<number>;

/**
 * A datagram whose buffer will be reused. One object serves all handlers that return
 * at once, so that they cost no allocation. It takes back what it has lent, so that
 * code that kept it cannot reply to the wrong peer.
 */
export class LentDatagram<Addr extends Deno.Addr> implements Datagram<Addr> {
  readonly #send: Send;
  #data: Uint8Array<ArrayBuffer> | undefined;
  #addr: Addr | undefined;

  constructor(send: Send) {
    this.#send = send;
  }

  lend(data: Uint8Array<ArrayBuffer>, addr: Addr): void {
    this.#data = data;
    this.#addr = addr;
  }

  takeBack(): void {
    this.#data = undefined;
    this.#addr = undefined;
  }

  get data(): Uint8Array<ArrayBuffer> {
    return this.#data ?? tooLate("data", "copy it with slice()");
  }

  get addr(): Addr {
    return this.#addr ?? tooLate("addr", "keep the address itself");
  }

  reply(data: Uint8Array): Promise<number> {
    if (this.#addr !== undefined) return this.#send(data, this.#addr);
    return tooLate("reply()", "return a promise from the handler");
  }

  /** Text that `console.log` prints. */
  [Symbol.for("Deno.customInspect")](inspect: typeof Deno.inspect): string {
    return `Datagram ${inspect({ data: this.#data, addr: this.#addr })}`;
  }
}

function tooLate(what: string, instead: string): never {
  throw new TypeError(
    `datagram: ${what} was used after its handler has returned; ${instead}`,
  );
}
