/**
 * A server that queries are forwarded to.
 *
 * @module
 */

import {
  background,
  cause,
  closeOnDone,
  type Context,
  dialTcp,
  group,
  orDone,
  singleFlight,
  sleep,
  withCancel,
} from "@curfew/context";
import { type Endpoint, hostPort } from "./options.ts";
import {
  frame,
  IN,
  MAX_MESSAGE,
  messages,
  type Query,
  readQuery,
  relay,
  Type,
  withId,
  words,
} from "./wire.ts";

/** The transport of a query. It is forwarded over the same one. */
export type Transport = "udp" | "tcp";

/** Connections to one server at once; servers allow few for each client. */
const CONNECTIONS = 32;

/** Silence in ms after which the port of a server is checked. */
const SILENCE = 250;

/** Asks for the name servers of the root, which every resolver knows. */
const ROOT_QUERY: Query = readQuery(
  Uint8Array.of(...words(0, 0x0100, 1, 0, 0, 0), 0, ...words(Type.NS, IN)),
)!;

/**
 * One server, over one transport. Each query has a random id and a socket of its
 * own with a random port, both of which an attacker has to guess to forge a reply.
 * Messages from other addresses, or with another id or question, are ignored.
 */
export class Upstream {
  readonly name: string;
  readonly transport: Transport;
  readonly #addr: Endpoint;
  readonly #connections = group(background(), { limit: CONNECTIONS });
  /** False once the server has answered over UDP while it refused TCP. */
  #tcpTells = true;

  constructor(addr: Endpoint, transport: Transport) {
    this.name = hostPort(addr);
    this.transport = transport;
    this.#addr = addr;
  }

  /**
   * Resolves with the server's reply to `query`. Rejects with `ctx.err` when `ctx`
   * is done, and early if nothing listens at the server's port.
   */
  async ask(ctx: Context, query: Query): Promise<Uint8Array> {
    if (this.transport === "tcp") return await this.#takeTurn(ctx, query);
    using attempt = withCancel(ctx);
    if (this.#tcpTells) {
      // Deno's UDP sockets do not report a closed port; a TCP connection does.
      this.#watchPort(attempt).catch((error) => attempt.cancel(error));
    }
    try {
      return await this.#exchange(attempt, query);
    } catch (error) {
      throw ctx.err ?? cause(attempt) ?? error;
    }
  }

  /** Resolves once the server has replied to a query, whatever the reply. */
  async check(ctx: Context): Promise<void> {
    await this.#exchange(ctx, ROOT_QUERY);
    if (this.transport === "udp") this.#tcpTells = !await this.#refuses(ctx);
  }

  async #takeTurn(ctx: Context, query: Query): Promise<Uint8Array> {
    const reply = Promise.withResolvers<Uint8Array>();
    this.#connections.go(() =>
      this.#exchange(ctx, query).then(reply.resolve, reply.reject)
    );
    return await orDone(ctx, reply.promise);
  }

  /** Rejects if the server stays silent because its port is closed. */
  async #watchPort(ctx: Context): Promise<void> {
    await sleep(ctx, SILENCE);
    if (await this.#refuses(ctx)) {
      throw new Deno.errors.ConnectionRefused(`${this.name} is closed`);
    }
  }

  /**
   * Resolves with true if the server refuses a TCP connection. One connection
   * serves all the queries that want to know.
   */
  readonly #refuses = singleFlight(async (ctx): Promise<boolean> => {
    try {
      using _conn = await dialTcp(ctx, this.#addr);
      return false;
    } catch (error) {
      return error instanceof Deno.errors.ConnectionRefused;
    }
  });

  async #exchange(ctx: Context, query: Query): Promise<Uint8Array> {
    const [id = 0] = crypto.getRandomValues(new Uint16Array(1));
    const message = withId(query.forwarded, id);
    const received = this.transport === "udp"
      ? this.#byUdp(ctx, message)
      : this.#byTcp(ctx, message);
    for await (const message of received) {
      const reply = relay(message, id, query);
      if (reply !== undefined) return reply;
    }
    throw ctx.err ?? new Error(`${this.name} closed without a reply`);
  }

  async *#byUdp(
    ctx: Context,
    message: Uint8Array,
  ): AsyncGenerator<Uint8Array> {
    const { hostname, port } = this.#addr;
    const socket = Deno.listenDatagram({
      transport: "udp",
      hostname: hostname.includes(":") ? "::" : "0.0.0.0",
      port: 0,
    });
    using open = withCancel(ctx);
    closeOnDone(open, socket);
    await socket.send(message, { transport: "udp", hostname, port });
    const buffer = new Uint8Array(MAX_MESSAGE);
    for (;;) {
      const [data, addr] = await socket.receive(buffer);
      const from = addr as Deno.NetAddr;
      if (from.hostname === hostname && from.port === port) yield data;
    }
  }

  async *#byTcp(
    ctx: Context,
    message: Uint8Array,
  ): AsyncGenerator<Uint8Array> {
    using conn = await dialTcp(ctx, this.#addr);
    closeOnDone(ctx, conn);
    const writer = conn.writable.getWriter();
    await writer.write(frame(message));
    yield* messages(conn, MAX_MESSAGE);
  }
}
