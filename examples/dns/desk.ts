/**
 * What happens to one query, whatever it has come by.
 *
 * @module
 */

import { type Context, withTimeout } from "@curfew/context";
import type { Transport } from "./upstream.ts";
import {
  fit,
  Flag,
  MAX_MESSAGE,
  type Query,
  Rcode,
  readQuery,
  reply,
} from "./wire.ts";

/** Where answers come from; rejects when `ctx` is done. */
export type Resolve = (
  ctx: Context,
  query: Query,
  transport: Transport,
) => Uint8Array | Promise<Uint8Array>;

const available = { flags: Flag.recursionAvailable };

/** Sees to queries, and counts what becomes of them. */
export class Desk {
  /** Messages by what they came by, and then each by what became of it. */
  readonly counts = { udp: 0, tcp: 0, answered: 0, failed: 0, dropped: 0 };
  readonly #resolve: Resolve;
  readonly #timeout: number;

  /** `timeout` is for one query, in ms. */
  constructor(resolve: Resolve, timeout: number) {
    this.#resolve = resolve;
    this.#timeout = timeout;
  }

  /** Sends the answer to a message, where there is to be one. */
  async handle(
    ctx: Context,
    transport: Transport,
    message: Uint8Array,
    send: (answer: Uint8Array) => Promise<unknown>,
  ): Promise<void> {
    this.counts[transport]++;
    const query = readQuery(message);
    if (query === undefined) {
      this.counts.dropped++;
      return;
    }
    const answer = await this.#answer(ctx, query, transport);
    const limit = transport === "udp" ? query.udpSize : MAX_MESSAGE;
    let sent = false;
    try {
      await send(
        fit(query, answer ?? reply(query, Rcode.SERVFAIL, available), limit),
      );
      sent = true;
    } finally {
      this.counts[sent && answer !== undefined ? "answered" : "failed"]++;
    }
  }

  /** The answer; undefined if there is none in time, or no way to ask for one. */
  async #answer(
    ctx: Context,
    query: Query,
    transport: Transport,
  ): Promise<Uint8Array | undefined> {
    if (query.fault !== undefined) return reply(query, query.fault);
    using step = withTimeout(ctx, this.#timeout);
    try {
      return await this.#resolve(step, query, transport);
    } catch {
      return undefined;
    }
  }
}
