/**
 * The way of one query, over either transport, from its bytes to its reply.
 *
 * @module
 */

import { type Context, withTimeout } from "@curfew/context";
import { getLogger } from "@std/log";
import type { Answer } from "./failover.ts";
import { hostPort } from "./options.ts";
import { nameText, rcodeText, typeText } from "./text.ts";
import type { Transport } from "./upstream.ts";
import {
  fit,
  Flag,
  MAX_MESSAGE,
  type Query,
  Rcode,
  rcodeOf,
  readQuery,
  reply,
} from "./wire.ts";

/** A source of answers. Rejects when `ctx` is done. */
export type Resolve = (
  ctx: Context,
  query: Query,
  transport: Transport,
) => Answer | Promise<Answer>;

/** Options for {@link Desk}. */
export interface DeskOptions {
  readonly resolve: Resolve;
  /** Answers come from servers that resolve any name, so replies say so (RA). */
  readonly recursive: boolean;
  /** Time limit of a query in ms. */
  readonly timeout: number;
}

/** A message from a client. */
export interface Request {
  readonly transport: Transport;
  readonly client: Deno.NetAddr;
  readonly message: Uint8Array;
  send(reply: Uint8Array): Promise<unknown>;
}

/** Handles queries and counts what becomes of them. */
export class Desk {
  /** Messages by transport, and each of them once more by its outcome. */
  readonly counts = { udp: 0, tcp: 0, answered: 0, failed: 0, dropped: 0 };
  /** Replies by rcode. */
  readonly replies = new Map<string, number>();
  readonly #resolve: Resolve;
  readonly #timeout: number;
  readonly #flags: number;

  constructor({ resolve, recursive, timeout }: DeskOptions) {
    this.#resolve = resolve;
    this.#timeout = timeout;
    this.#flags = recursive ? Flag.recursionAvailable : 0;
  }

  /** Sends the reply to a message, if it deserves one. */
  async handle(ctx: Context, request: Request): Promise<void> {
    const { transport, message, send } = request;
    const start = performance.now();
    this.counts[transport]++;
    const query = readQuery(message);
    if (query === undefined) {
      this.counts.dropped++;
      return;
    }
    const answer = await this.#answer(ctx, query, transport);
    const whole = answer?.message ?? this.#own(query, Rcode.SERVFAIL);
    const limit = transport === "udp" ? query.udpSize : MAX_MESSAGE;
    let sent = false;
    try {
      await send(fit(query, whole, limit));
      sent = true;
    } finally {
      this.counts[sent && answer !== undefined ? "answered" : "failed"]++;
      const rcode = rcodeText(rcodeOf(whole));
      if (sent) this.replies.set(rcode, (this.replies.get(rcode) ?? 0) + 1);
      getLogger().debug(() => {
        const { type, name } = query;
        const from = `${hostPort(request.client)} (${transport})`;
        const ms = Math.round(performance.now() - start);
        return `query from ${from}: ${nameText(name)} ${typeText(type)}: ` +
          `${sent ? rcode : "not sent"} by ${answer?.from ?? "us"}, ${ms} ms`;
      });
    }
  }

  /** Resolves with the answer, or with undefined if there is none in time. */
  async #answer(
    ctx: Context,
    query: Query,
    transport: Transport,
  ): Promise<Answer | undefined> {
    if (query.fault !== undefined) {
      return { message: this.#own(query, query.fault), from: "us" };
    }
    using step = withTimeout(ctx, this.#timeout);
    try {
      return await this.#resolve(step, query, transport);
    } catch {
      return undefined;
    }
  }

  #own(query: Query, rcode: number): Uint8Array {
    return reply(query, rcode, { flags: this.#flags });
  }
}
