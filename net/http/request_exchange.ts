/** The link from a request to its exchange. */

import type { Context } from "../../context/context.ts";

/** The part of an exchange that its request leads to. */
export interface RequestExchange {
  /** The handler's context. */
  readonly context: Context;
  /** Takes note that the request has become a WebSocket. */
  upgraded(upgrade: Deno.WebSocketUpgrade): void;
}

/**
 * A property, so that it is also found through a Proxy, or an object whose
 * prototype is the request. It costs a request 0.1 us, an entry in a WeakMap 0.4.
 */
const exchangeKey = Symbol("exchange");

interface Exchanged {
  [exchangeKey]?: RequestExchange;
}

/** Links `request` to its exchange. */
export function setExchange(request: Request, exchange: RequestExchange): void {
  (request as Exchanged)[exchangeKey] = exchange;
}

/** The exchange of `request`; undefined if it has none. */
export function exchangeOf(request: Request): RequestExchange | undefined {
  return (Object(request) as Exchanged)[exchangeKey];
}
