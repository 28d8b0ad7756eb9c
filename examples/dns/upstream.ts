/**
 * The server that queries are passed on to.
 *
 * @module
 */

import {
  background,
  closeOnDone,
  type Context,
  dialTcp,
  group,
  orDone,
} from "@curfew/context";
import type { Endpoint } from "./options.ts";
import {
  frame,
  isAnswer,
  MAX_MESSAGE,
  messages,
  type Query,
  withId,
} from "./wire.ts";

/** What a query has come by, and is passed on by. */
export type Transport = "udp" | "tcp";

/** Connections to the upstream at once; other queries by TCP wait for their turn.
 * Servers take few from one client. */
const CONNECTIONS = 32;

/**
 * Passes queries on, each with an id drawn at random on a socket of its own, whose
 * port the kernel draws: whoever cannot see the query has both to guess to forge
 * its answer. Only what comes from the upstream's address, with that id and that
 * question, is one.
 */
export class Upstream {
  readonly #addr: Endpoint;
  readonly #turns = group(background(), { limit: CONNECTIONS });

  constructor(addr: Endpoint) {
    this.#addr = addr;
  }

  /**
   * The upstream's answer, with the query's own id. Rejects when `ctx` is done,
   * which also closes the socket.
   */
  ask(ctx: Context, query: Query, transport: Transport): Promise<Uint8Array> {
    if (transport === "udp") return this.#ask(ctx, query, transport);
    const answer = Promise.withResolvers<Uint8Array>();
    this.#turns.go(() =>
      this.#ask(ctx, query, transport).then(answer.resolve, answer.reject)
    );
    return orDone(ctx, answer.promise);
  }

  async #ask(
    ctx: Context,
    query: Query,
    transport: Transport,
  ): Promise<Uint8Array> {
    const [id = 0] = crypto.getRandomValues(new Uint16Array(1));
    const message = withId(query.message, id);
    const replies = transport === "udp"
      ? this.#byUdp(ctx, message)
      : this.#byTcp(ctx, message);
    for await (const reply of replies) {
      if (isAnswer(reply, id, query)) return withId(reply, query.id);
    }
    throw ctx.err ?? new Error("the upstream has closed without an answer");
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
    closeOnDone(ctx, socket);
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
