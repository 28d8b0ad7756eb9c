/** What comes in over UDP. */

/**
 * A datagram that has come in. It is lent to its handler: valid until that has
 * returned or, where it returned a promise, until that has settled.
 *
 * @example Kept for later, by a copy
 * ```ts
 * import type { Context, Datagram } from "@curfew/context";
 *
 * const kept: Uint8Array[] = [];
 * function keep(_ctx: Context, datagram: Datagram): void {
 *   kept.push(datagram.data.slice()); // the buffer itself will be used again
 * }
 * console.log(keep.name); // for serveUdp(ctx, { port: 8125 }, keep)
 * ```
 */
export interface Datagram<Addr extends Deno.Addr = Deno.NetAddr> {
  /** What was sent; `slice()` keeps it for longer. */
  readonly data: Uint8Array<ArrayBuffer>;
  /** Who sent it. The object itself may be kept. */
  readonly addr: Addr;
  /**
   * Sends `data` back to who sent the datagram.
   *
   * @param data At most 65,507 bytes, 65,527 over IPv6; 9,216 on macOS, unless it
   * is set up to send more.
   * @returns The number of bytes sent. Rejects with the `err` of the handler's
   * ctx once that is done, and with a RangeError where `data` is too long.
   */
  reply(data: Uint8Array): Promise<number>;
}

/** Sends a datagram from the socket that another has come in by. */
type Send = (data: Uint8Array, addr: Deno.Addr) => Promise<number>;

/**
 * A datagram out of a buffer that will be used again. One object serves all the
 * handlers that return at once, so that they cost no allocation; it takes back
 * what it has lent, lest somebody who kept it replies to the wrong peer.
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
    return this.#data ?? tooLate("data", "copy it by slice()");
  }

  get addr(): Addr {
    return this.#addr ?? tooLate("addr", "keep the address itself");
  }

  reply(data: Uint8Array): Promise<number> {
    if (this.#addr !== undefined) return this.#send(data, this.#addr);
    return tooLate("reply()", "return a promise to go on with it");
  }

  /** What `console.log` shows. */
  [Symbol.for("Deno.customInspect")](inspect: typeof Deno.inspect): string {
    return `Datagram ${inspect({ data: this.#data, addr: this.#addr })}`;
  }
}

function tooLate(what: string, instead: string): never {
  throw new TypeError(
    `datagram: ${what} was asked for after its handler has returned; ${instead}`,
  );
}
