/** An upstream server that answers when the test says so. */

import { openBoth } from "../../examples/dns/same_port.ts";
import type { Transport } from "../../examples/dns/upstream.ts";
import { frame, messages } from "../../examples/dns/wire.ts";
import { answer, questionEnd } from "./dns_message.ts";

/** A query that has reached the upstream. */
export interface Asked {
  transport: Transport;
  message: Uint8Array;
  /** Address of the sender. */
  from: Deno.NetAddr;
  reply(message: Uint8Array): Promise<unknown>;
}

/** A UDP socket on 127.0.0.1. */
export function udpSocket(port = 0): Deno.DatagramConn {
  return Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port });
}

/** A server that hands the queries to the test. It answers health checks itself. */
export class TestUpstream implements AsyncDisposable {
  /** Leaves health checks without a reply. */
  silent = false;
  /** Makes the reply to a query, which the test then does not see. */
  autoReply: ((query: Uint8Array) => Uint8Array) | undefined;
  readonly #udp: Deno.DatagramConn;
  readonly #tcp: Deno.TcpListener;
  readonly #open = new Set<Deno.TcpConn>();
  readonly #running: Promise<unknown>[];
  readonly #asked: Asked[] = [];
  #waiting: PromiseWithResolvers<void> | undefined;

  private constructor(udp: Deno.DatagramConn, tcp: Deno.TcpListener) {
    this.#udp = udp;
    this.#tcp = tcp;
    this.#running = [this.#serveUdp(), this.#serveTcp()];
  }

  static async open(): Promise<TestUpstream> {
    const bound = <T extends { addr: Deno.Addr; close(): void }>(conn: T) => ({
      conn,
      addr: conn.addr as Deno.NetAddr,
      [Symbol.asyncDispose]: () => Promise.resolve(conn.close()),
    });
    const [udp, tcp] = await openBoth(
      0,
      (port) => bound(udpSocket(port)),
      (port) => bound(Deno.listen({ hostname: "127.0.0.1", port })),
    );
    return new TestUpstream(udp.conn, tcp.conn);
  }

  get name(): string {
    return `127.0.0.1:${(this.#udp.addr as Deno.NetAddr).port}`;
  }

  /** The number of queries that the test has not taken. */
  get waiting(): number {
    return this.#asked.length;
  }

  get flag(): string {
    return `--upstream=${this.name}`;
  }

  /** Resolves with the next query. */
  async next(): Promise<Asked> {
    for (;;) {
      const asked = this.#asked.shift();
      if (asked !== undefined) return asked;
      this.#waiting = Promise.withResolvers();
      await this.#waiting.promise;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#udp.close();
    this.#tcp.close();
    for (const conn of this.#open) conn.close();
    await Promise.all(this.#running);
  }

  #take(asked: Asked): void {
    if (isCheck(asked.message)) {
      if (!this.silent) asked.reply(answer(asked.message, [192, 0, 2, 0]));
      return;
    }
    if (this.autoReply !== undefined) {
      asked.reply(this.autoReply(asked.message));
      return;
    }
    this.#asked.push(asked);
    this.#waiting?.resolve();
  }

  async #serveUdp(): Promise<void> {
    for await (const [data, addr] of this.#udp) {
      this.#take({
        transport: "udp",
        message: data,
        from: addr as Deno.NetAddr,
        reply: (message) => this.#udp.send(message, addr),
      });
    }
  }

  async #serveTcp(): Promise<void> {
    for await (const conn of this.#tcp) {
      this.#open.add(conn);
      this.#running.push(this.#converse(conn).catch(() => {}));
    }
  }

  async #converse(conn: Deno.TcpConn): Promise<void> {
    for await (const message of messages(conn, 65_535)) {
      const { remoteAddr: from } = conn;
      const reply = (message: Uint8Array) => conn.write(frame(message));
      this.#take({ transport: "tcp", message, from, reply });
    }
  }
}

/** Tells a health check, which asks for the root, from other queries. */
function isCheck(message: Uint8Array): boolean {
  return questionEnd(message) === 17;
}

/** The flag for an upstream that is closed, for UDP and TCP. */
export function closedFlag(): string {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return `--upstream=127.0.0.1:${listener.addr.port}`;
}
