/**
 * The way of a query to the upstream servers.
 *
 * @module
 */

import {
  type Context,
  type Group,
  singleFlight,
  withTimeout,
} from "@curfew/context";
import { type Answer, type Candidate, Failover } from "./failover.ts";
import type { Endpoint } from "./options.ts";
import { type Transport, Upstream } from "./upstream.ts";
import { type Query, withId } from "./wire.ts";

/** Forwards queries. Equal queries that are in flight together are sent once. */
export class Forwarder {
  readonly #servers: Record<Transport, Failover>;
  readonly #timeout: number;
  #asked = 0;
  #sent = 0;

  /**
   * @param upstreams In order of preference.
   * @param timeout Time limit of a query in ms, however many servers it needs.
   * @param checks The group that runs the checks of servers that failed.
   */
  constructor(upstreams: readonly Endpoint[], timeout: number, checks: Group) {
    const serversOver = (transport: Transport) =>
      new Failover(
        upstreams.map((addr) => new Upstream(addr, transport)),
        checks,
      );
    this.#servers = { udp: serversOver("udp"), tcp: serversOver("tcp") };
    this.#timeout = timeout;
  }

  /** Every server over every transport, with its state and its counters. */
  get candidates(): readonly Candidate[] {
    return [...this.#servers.udp.candidates, ...this.#servers.tcp.candidates];
  }

  /** Queries that were answered together with another one. */
  get shared(): number {
    return this.#asked - this.#sent;
  }

  /** Resolves with the answer, under the id of `query`. */
  async resolve(
    ctx: Context,
    query: Query,
    transport: Transport,
  ): Promise<Answer> {
    this.#asked++;
    const { message, from } = await this.#lookUp(ctx, query, transport);
    return { message: withId(message, query.id), from };
  }

  readonly #lookUp = singleFlight(
    async (ctx, query: Query, transport: Transport): Promise<Answer> => {
      this.#sent++;
      // A client that joins later does not extend the time.
      using limited = withTimeout(ctx, this.#timeout);
      return await this.#servers[transport].ask(limited, query);
    },
    { key: (query, transport) => `${transport} ${contentOf(query)}` },
  );
}

/** Everything in a query but its id. */
function contentOf({ forwarded }: Query): string {
  return String.fromCharCode(...forwarded.subarray(2));
}
